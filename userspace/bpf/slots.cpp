#include "bpf/slots.hpp"

#include <sys/mman.h>
#include <unistd.h>
#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

namespace drainwatch {
namespace {

static_assert(sizeof(dw_slot) % 64 == 0, "slots do not share cache lines");

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
