#include "bpf/slots.hpp"

#include "drainwatch/socket_track.h"
#include "drainwatch/tls_phase.h"

#include <unistd.h>
#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstring>

namespace drainwatch {
namespace {

static_assert(sizeof(dw_slot) % 64 == 0, "slots do not share cache lines");

constexpr int kTries = 8;

/// Slots are mapped so many at a time: whole pages.
constexpr std::uint32_t kWindow = 64;
constexpr std::size_t kWindowBytes = kWindow * sizeof(dw_slot);
static_assert(kWindowBytes % 4096 == 0, "a window begins on a page");
static_assert(DW_FILL_BATCH % kWindow == 0, "a table is made of whole windows");

/// 20 MiB: then all are given back, and those in use are mapped anew.
constexpr std::size_t kMostWindows = (std::size_t{20} << 20) / kWindowBytes;

std::size_t whole_pages(std::size_t bytes)
{
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    return (bytes + page - 1) / page * page;
}

}  // namespace

bool is_taken(const dw_slot& slot)
{
    return slot.cookie != 0 && slot.ended_ns == 0;
}

SlotTable::SlotTable(int slots_fd, std::uint32_t size)
    : slots_fd_(slots_fd), size_(size), windows_(size / kWindow)
{}

Result<SlotTable> SlotTable::map(int slots_fd, int attention_fd, std::uint32_t size)
{
    SlotTable table(slots_fd, size);
    if (size == 0 || table.at(0) == nullptr) {
        return tl::unexpected(system_error("map", "the table of sockets", errno));
    }
    table.attention_ = SharedMapping(attention_fd, 0, whole_pages(size * sizeof(std::uint64_t)),
                                     PROT_READ | PROT_WRITE);
    if (!table.attention_) {
        return tl::unexpected(system_error("map", "the flags of unread data", errno));
    }
    return table;
}

std::byte* SlotTable::at(std::uint32_t slot) const
{
    SharedMapping& window = windows_[slot / kWindow];
    if (!window) {
        if (mapped_ == kMostWindows) {
            for (SharedMapping& mapped : windows_) {
                mapped = SharedMapping();
            }
            mapped_ = 0;
        }
        const auto offset = static_cast<off_t>(slot / kWindow * kWindowBytes);
        window = SharedMapping(slots_fd_, offset, kWindowBytes, PROT_READ | PROT_WRITE);
        if (!window) {
            return nullptr;
        }
        mapped_++;
    }
    return window.at() + slot % kWindow * sizeof(dw_slot);
}

dw_slot SlotTable::head(std::uint32_t slot, std::size_t bytes) const
{
    dw_slot value{};
    if (const std::byte* from = at(slot); from != nullptr) {
        std::memcpy(&value, from, bytes);
    }
    return value;
}

std::set<std::uint32_t> SlotTable::namespaces(std::uint32_t end) const
{
    std::set<std::uint32_t> found;
    for (std::uint32_t slot = 0; slot < end; slot++) {
        // What changes half way is found by the next look.
        const dw_slot value = head(slot, offsetof(dw_slot, family));
        if (is_taken(value)) {
            found.insert(value.netns);
        }
    }
    return found;
}

std::unordered_map<Cookie, std::uint32_t> SlotTable::places(std::uint32_t end) const
{
    std::unordered_map<Cookie, std::uint32_t> found;
    for (std::uint32_t slot = 0; slot < end; slot++) {
        const dw_slot value = head(slot, offsetof(dw_slot, zero_ns));
        if (is_taken(value)) {
            found.emplace(Cookie{value.cookie}, slot);
        }
    }
    return found;
}

std::uint64_t SlotTable::idle_since(std::uint32_t end, std::size_t number,
                                    std::uint64_t limit_ns) const
{
    std::vector<std::uint64_t> idle;
    for (std::uint32_t slot = 0; slot < end; slot++) {
        // What changes half way is looked at again by the kernel side.
        const dw_slot value = head(slot, offsetof(dw_slot, unread.entry));
        const bool is_closed = (value.flags & DW_SLOT_CLOSED) && value.state != DW_TCP_CLOSE;
        const bool may_go = value.unread.count == 0 && !is_closed;
        if (is_taken(value) && may_go && dw_active_ns(&value) < limit_ns) {
            idle.push_back(dw_active_ns(&value));
        }
    }
    if (idle.empty()) {
        return 0;
    }
    const auto nth = idle.begin() + static_cast<std::ptrdiff_t>(std::min(number, idle.size()) - 1);
    std::nth_element(idle.begin(), nth, idle.end());
    return *nth;
}

bool SlotTable::calls_for_attention(std::uint32_t slot)
{
    auto* flag = reinterpret_cast<std::uint64_t*>(attention_.at()) + slot;
    if (__atomic_load_n(flag, __ATOMIC_RELAXED) == 0) {
        return false;
    }
    std::byte* from = at(slot);
    if (from == nullptr) {
        return true;
    }
    const auto* count =
        reinterpret_cast<const std::uint8_t*>(from + offsetof(dw_slot, unread.count));
    if (__atomic_load_n(count, __ATOMIC_RELAXED) != 0) {
        return true;
    }
    // Take it back first and look again then: what arrives in between sets it anew. The slot's
    // word of it goes last, as it comes first: so it never says more than the flag, for long.
    auto* noticed = reinterpret_cast<std::uint8_t*>(from + offsetof(dw_slot, unread.noticed));
    __atomic_store_n(flag, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(noticed, 0, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(count, __ATOMIC_SEQ_CST) != 0) {
        __atomic_store_n(flag, 1, __ATOMIC_RELAXED);
        return true;
    }
    return false;
}

void SlotTable::settle_handshake(std::uint32_t slot, Cookie cookie, std::uint8_t round,
                                 std::uint8_t alert_bytes)
{
    std::byte* to = slot < size_ ? at(slot) : nullptr;
    if (to == nullptr) {
        return;
    }
    dw_slot head{};
    std::memcpy(&head, to, offsetof(dw_slot, rcvlowat));
    if (Cookie{head.cookie} != cookie || head.ended_ns != 0) {
        return;
    }
    auto* tls = reinterpret_cast<std::uint8_t*>(to + offsetof(dw_slot, tls));
    __atomic_store_n(tls + offsetof(dw_tls, alert_bytes), alert_bytes, __ATOMIC_RELAXED);
    __atomic_store_n(tls + offsetof(dw_tls, settled), round, __ATOMIC_RELEASE);
}

void SlotTable::settle_handshakes(std::uint32_t end)
{
    for (std::uint32_t slot = 0; slot < end; slot++) {
        const dw_slot value = head(slot, offsetof(dw_slot, rcvlowat));
        if (is_taken(value) && dw_tls_in_handshake(&value.tls) != 0) {
            auto* tls = reinterpret_cast<std::uint8_t*>(at(slot) + offsetof(dw_slot, tls));
            __atomic_store_n(tls + offsetof(dw_tls, glimpses), DW_TLS_GLIMPSES, __ATOMIC_RELAXED);
            settle_handshake(slot, Cookie{value.cookie}, value.tls.round, 0);
        }
    }
}

std::vector<std::uint32_t> SlotTable::clear(std::uint32_t end)
{
    std::vector<std::uint32_t> cleared;
    for (std::uint32_t slot = 0; slot < end; slot++) {
        const dw_slot value = head(slot, offsetof(dw_slot, rcvlowat));
        if (!is_taken(value)) {
            continue;
        }
        // Whoever still refers to it knows by its cookie that it is not theirs any more.
        constexpr std::uint64_t kNone = 0;
        std::memcpy(at(slot) + offsetof(dw_slot, cookie), &kNone, sizeof(kNone));
        cleared.push_back(slot);
    }
    return cleared;
}

std::optional<dw_slot> SlotTable::read(std::uint32_t slot) const
{
    using Bytes = std::array<std::byte, sizeof(dw_slot)>;
    const std::byte* from = at(slot);
    if (from == nullptr) {
        return std::nullopt;
    }
    Bytes first;
    Bytes second;
    std::memcpy(first.data(), from, first.size());
    for (int i = 0; i < kTries; i++) {
        std::atomic_thread_fence(std::memory_order_acquire);
        std::memcpy(second.data(), from, second.size());
        if (first == second) {
            return std::bit_cast<dw_slot>(first);
        }
        first = second;
    }
    return std::nullopt;
}

}  // namespace drainwatch
