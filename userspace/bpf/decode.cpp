#include "bpf/decode.hpp"

#include <algorithm>
#include <cstring>

namespace drainwatch {
namespace {

std::string comm_of(const dw_record& record)
{
    return {record.comm, strnlen(record.comm, sizeof(record.comm))};
}

SocketRecord socket_record(const dw_record& record, SocketNotice::Kind kind)
{
    return {{kind, Cookie{record.cookie}, record.at_ns, record.value, record.pid}, record.slot};
}

Endpoint endpoint(const dw_slot& slot, const __u8 (&address)[16], std::uint16_t port)
{
    Endpoint e;
    e.family = slot.family;
    std::copy(std::begin(address), std::end(address), e.address.begin());
    e.port = port;
    return e;
}

}  // namespace

std::optional<Record> decode_record(std::span<const std::byte> bytes)
{
    dw_record record{};
    if (bytes.size() != sizeof(record)) {
        return std::nullopt;
    }
    std::memcpy(&record, bytes.data(), sizeof(record));
    using SocketKind = SocketNotice::Kind;
    using ProcessKind = ProcessNotice::Kind;
    switch (record.kind) {
        case DW_REC_DANGER: return socket_record(record, SocketKind::filling);
        case DW_REC_ZERO: return socket_record(record, SocketKind::zero_window);
        case DW_REC_REOPENED: return socket_record(record, SocketKind::reopened);
        case DW_REC_RESET_IN: return socket_record(record, SocketKind::reset_received);
        case DW_REC_RESET_OUT: return socket_record(record, SocketKind::reset_sent);
        case DW_REC_ENDED: return socket_record(record, SocketKind::ended);
        case DW_REC_EXEC:
            return ProcessNotice{ProcessKind::renamed, record.pid, 0, record.value != 0,
                                 comm_of(record)};
        case DW_REC_FORK:
            return ProcessNotice{ProcessKind::forked, record.pid, record.value, true,
                                 comm_of(record)};
        case DW_REC_EXIT:
            return ProcessNotice{ProcessKind::ended, record.pid, 0, true, comm_of(record)};
        default: return std::nullopt;
    }
}

SocketSample decode_slot(const dw_slot& slot, std::uint64_t now_ns)
{
    SocketSample s;
    s.cookie = Cookie{slot.cookie};
    s.local = endpoint(slot, slot.local, slot.local_port);
    s.remote = endpoint(slot, slot.remote, slot.remote_port);
    s.netns = slot.netns;
    s.taken_ns = now_ns;
    s.window = slot.window;
    s.window.copied_seq = slot.copied_seq;
    s.data_end = slot.data_end;
    s.rcvlowat = slot.rcvlowat;
    const std::uint32_t entries = std::min<std::uint32_t>(slot.unread.count, DW_FIFO_LEN);
    s.unread.reserve(entries);
    for (std::uint32_t i = 0; i < entries; i++) {
        const std::uint32_t at = (slot.unread.head + i) % DW_FIFO_LEN;
        if (!dw_seq_before(slot.copied_seq, slot.unread.entry[at].end_seq)) {
            continue;  // read already; two CPUs have crossed
        }
        s.unread.push_back({slot.unread.entry[at].end_seq, slot.unread.entry[at].at_ns});
    }
    s.age_is_lower_bound = slot.flags & DW_SLOT_LOWER_BOUND;
    s.last_read_ns = slot.last_read_ns;
    s.habit_gap_ns = std::max(slot.habit.longest_gap_ns[0], slot.habit.longest_gap_ns[1]);
    s.habit_depth_bytes = std::max(slot.habit.deepest_bytes[0], slot.habit.deepest_bytes[1]);
    s.closed = slot.flags & DW_SLOT_CLOSED;
    s.zero_ns = slot.zero_ns;
    s.reopened_ns = slot.reopened_ns;
    s.zero_count = slot.zero_count;
    s.reader_tgid = slot.reader_tgid;
    s.reader_tid = slot.reader_tid;
    s.owner_tgid = slot.owner_tgid;
    return s;
}

}  // namespace drainwatch
