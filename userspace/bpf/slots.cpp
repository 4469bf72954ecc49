#include "bpf/slots.hpp"

#include "drainwatch/socket_track.h"

#include <sys/mman.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

namespace drainwatch {
namespace {

static_assert(sizeof(dw_slot) % 8 == 0, "array values are laid out in steps of eight bytes");

constexpr int kTries = 8;

std::size_t whole_pages(std::size_t bytes)
{
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    return (bytes + page - 1) / page * page;
}

std::byte* map_shared(int fd, std::size_t bytes, int protection)
{
    void* at = mmap(nullptr, bytes, protection, MAP_SHARED, fd, 0);
    return at == MAP_FAILED ? nullptr : static_cast<std::byte*>(at);
}

}  // namespace

Result<SlotTable> SlotTable::map(int slots_fd, int attention_fd, std::uint32_t size)
{
    SlotTable table;
    table.size_ = size;
    table.slots_bytes_ = whole_pages(std::size_t{size} * sizeof(dw_slot));
    table.attention_bytes_ = whole_pages(std::size_t{size} * sizeof(std::uint64_t));
    table.slots_ = map_shared(slots_fd, table.slots_bytes_, PROT_READ);
    if (table.slots_ == nullptr) {
        return tl::unexpected(system_error("map", "the table of sockets", errno));
    }
    table.attention_ = map_shared(attention_fd, table.attention_bytes_, PROT_READ | PROT_WRITE);
    if (table.attention_ == nullptr) {
        return tl::unexpected(system_error("map", "the flags of unread data", errno));
    }
    return table;
}

SlotTable::SlotTable(SlotTable&& other) noexcept
{
    *this = std::move(other);
}

SlotTable& SlotTable::operator=(SlotTable&& other) noexcept
{
    std::swap(slots_, other.slots_);
    std::swap(attention_, other.attention_);
    std::swap(slots_bytes_, other.slots_bytes_);
    std::swap(attention_bytes_, other.attention_bytes_);
    std::swap(size_, other.size_);
    return *this;
}

SlotTable::~SlotTable()
{
    if (slots_ != nullptr) {
        munmap(const_cast<std::byte*>(slots_), slots_bytes_);
    }
    if (attention_ != nullptr) {
        munmap(attention_, attention_bytes_);
    }
}

const std::byte* SlotTable::at(std::uint32_t slot) const
{
    return slots_ + std::size_t{slot} * sizeof(dw_slot);
}

std::set<std::uint32_t> SlotTable::namespaces(std::uint32_t end) const
{
    std::set<std::uint32_t> found;
    for (std::uint32_t slot = 0; slot < end; slot++) {
        // What changes half way is found by the next look.
        dw_slot head;
        std::memcpy(&head, at(slot), offsetof(dw_slot, family));
        if (head.cookie != 0 && head.ended_ns == 0) {
            found.insert(head.netns);
        }
    }
    return found;
}

std::optional<std::uint32_t> SlotTable::find(Cookie cookie, std::uint32_t end) const
{
    for (std::uint32_t slot = 0; slot < end; slot++) {
        dw_slot head;
        std::memcpy(&head, at(slot), offsetof(dw_slot, zero_ns));
        if (Cookie{head.cookie} == cookie && head.ended_ns == 0) {
            return slot;
        }
    }
    return std::nullopt;
}

std::uint64_t SlotTable::idle_since(std::uint32_t end, std::size_t number,
                                    std::uint64_t limit_ns) const
{
    std::vector<std::uint64_t> idle;
    for (std::uint32_t slot = 0; slot < end; slot++) {
        // One that changes half way is looked at again by the kernel side.
        dw_slot head;
        std::memcpy(&head, at(slot), offsetof(dw_slot, unread.entry));
        const bool is_idle = head.cookie != 0 && head.ended_ns == 0 && head.unread.count == 0;
        if (is_idle && dw_active_ns(&head) < limit_ns) {
            idle.push_back(dw_active_ns(&head));
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
    auto* flag = reinterpret_cast<std::uint64_t*>(attention_) + slot;
    if (__atomic_load_n(flag, __ATOMIC_RELAXED) == 0) {
        return false;
    }
    const auto* count =
        reinterpret_cast<const std::uint32_t*>(at(slot) + offsetof(dw_slot, unread.count));
    if (__atomic_load_n(count, __ATOMIC_RELAXED) != 0) {
        return true;
    }
    // Take it back first and look again then: what arrives in between sets it anew.
    __atomic_store_n(flag, 0, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(count, __ATOMIC_SEQ_CST) != 0) {
        __atomic_store_n(flag, 1, __ATOMIC_RELAXED);
        return true;
    }
    return false;
}

std::optional<dw_slot> SlotTable::read(std::uint32_t slot) const
{
    using Bytes = std::array<std::byte, sizeof(dw_slot)>;
    const std::byte* from = at(slot);
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
