#include "bpf/stream_buffer.hpp"

#include "drainwatch/abi.h"

#include <bpf/libbpf.h>
#include <linux/perf_event.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <iterator>
#include <utility>

namespace drainwatch {
namespace {

/// A buffer of a CPU: some dozens of handshakes, and of what comes behind one before the kernel
/// side is told that it is past.
constexpr std::size_t kPages = 64;
constexpr std::uint32_t kWakeBytes = 16384;

/// Of a place, the low bits are the slot.
constexpr unsigned kSlotBits = 32;

Endpoint endpoint(std::uint16_t family, const __u8 (&address)[16], std::uint16_t port)
{
    Endpoint e;
    e.family = family;
    std::copy(std::begin(address), std::end(address), e.address.begin());
    e.port = port;
    return e;
}

}  // namespace

HandshakePlace handshake_place(std::uint64_t place)
{
    return {static_cast<std::uint32_t>(place), static_cast<std::uint8_t>(place >> kSlotBits)};
}

std::optional<StreamBytes> decode_stream_bytes(std::span<const std::byte> bytes)
{
    dw_stream_bytes head{};
    if (bytes.size() < sizeof(head)) {
        return std::nullopt;
    }
    std::memcpy(&head, bytes.data(), sizeof(head));
    const auto segment = bytes.subspan(sizeof(head));
    if (head.payload_at >= segment.size() || head.part > DW_PART_GLIMPSE ||
        head.taken_bytes > segment.size() - head.payload_at) {
        return std::nullopt;
    }
    StreamBytes stream;
    stream.socket.cookie = Cookie{head.cookie};
    stream.socket.local = endpoint(head.family, head.local, head.local_port);
    stream.socket.remote = endpoint(head.family, head.remote, head.remote_port);
    stream.socket.netns = head.netns;
    stream.socket.owner_tgid = head.owner_tgid;
    stream.socket.reader_tgid = head.reader_tgid;
    stream.place = std::uint64_t{head.round} << kSlotBits | head.slot;
    stream.part = head.part == DW_PART_HANDSHAKE ? StreamBytes::Part::handshake
                  : head.part == DW_PART_ALERT   ? StreamBytes::Part::alert
                                                 : StreamBytes::Part::glimpse;
    stream.from = head.from_peer != 0 ? Side::peer : Side::local;
    stream.at_ns = head.at_ns;
    stream.start_seq = head.start_seq;
    stream.offset = head.offset;
    stream.segment_bytes = head.segment_bytes;
    stream.bytes.resize(head.taken_bytes);
    std::memcpy(stream.bytes.data(), segment.data() + head.payload_at, head.taken_bytes);
    return stream;
}

void StreamBuffer::Deleter::operator()(perf_buffer* buffer) const
{
    perf_buffer__free(buffer);
}

Result<StreamBuffer> StreamBuffer::open(int map_fd)
{
    perf_event_attr attributes{};
    attributes.size = sizeof(attributes);
    attributes.type = PERF_TYPE_SOFTWARE;
    attributes.config = PERF_COUNT_SW_BPF_OUTPUT;
    attributes.sample_type = PERF_SAMPLE_RAW;
    attributes.sample_period = 1;
    attributes.watermark = 1;
    attributes.wakeup_watermark = kWakeBytes;
    const auto take_one = [](void* context, int /*cpu*/, perf_event_header* event) {
        // libbpf is C: no exception may pass through it.
        auto* taken = static_cast<Taken*>(context);
        if (event->type != PERF_RECORD_SAMPLE) {
            return LIBBPF_PERF_EVENT_CONT;  // what was lost is counted where it was
        }
        std::uint32_t size = 0;
        const auto* data = reinterpret_cast<const std::byte*>(event + 1);
        std::memcpy(&size, data, sizeof(size));
        try {
            if (auto decoded = decode_stream_bytes({data + sizeof(size), size})) {
                taken->bytes.push_back(std::move(*decoded));
                taken->decoded++;
                return LIBBPF_PERF_EVENT_CONT;
            }
        } catch (const std::exception&) {
        }
        taken->undecoded++;
        return LIBBPF_PERF_EVENT_CONT;
    };
    StreamBuffer opened;
    opened.buffer_.reset(
        perf_buffer__new_raw(map_fd, kPages, &attributes, take_one, opened.taken_.get(), nullptr));
    if (!opened.buffer_) {
        return tl::unexpected(system_error("open", "the buffer of streams", errno));
    }
    return opened;
}

int StreamBuffer::wake_fd() const
{
    return perf_buffer__epoll_fd(buffer_.get());
}

std::uint64_t StreamBuffer::memory_bytes() const
{
    constexpr std::size_t kHeadPage = 1;
    const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
    return perf_buffer__buffer_cnt(buffer_.get()) * (kPages + kHeadPage) * page;
}

void StreamBuffer::collect()
{
    perf_buffer__consume(buffer_.get());
}

std::vector<StreamBytes> StreamBuffer::take()
{
    collect();
    std::vector<StreamBytes> bytes = std::exchange(taken_->bytes, {});
    std::stable_sort(bytes.begin(), bytes.end(),
                     [](const StreamBytes& a, const StreamBytes& b) { return a.at_ns < b.at_ns; });
    return bytes;
}

}  // namespace drainwatch
