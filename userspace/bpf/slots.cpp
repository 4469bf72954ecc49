#include "bpf/slots.hpp"

#include <sys/mman.h>
#include <unistd.h>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

namespace drainwatch {
namespace {

static_assert(sizeof(dw_slot) % 8 == 0, "array values are laid out in steps of eight bytes");

constexpr int kTries = 8;

std::size_t whole_pages(std::size_t bytes)
{
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    return (bytes + page - 1) / page * page;
}

const std::byte* map_read_only(int fd, std::size_t bytes)
{
    void* at = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0);
    return at == MAP_FAILED ? nullptr : static_cast<const std::byte*>(at);
}

}  // namespace

Result<SlotTable> SlotTable::map(int slots_fd, int unread_since_fd, std::uint32_t size)
{
    SlotTable table;
    table.size_ = size;
    table.slots_bytes_ = whole_pages(std::size_t{size} * sizeof(dw_slot));
    table.unread_since_bytes_ = whole_pages(std::size_t{size} * sizeof(std::uint64_t));
    table.slots_ = map_read_only(slots_fd, table.slots_bytes_);
    if (table.slots_ == nullptr) {
        return tl::unexpected(system_error("map", "the table of sockets", errno));
    }
    table.unread_since_ = map_read_only(unread_since_fd, table.unread_since_bytes_);
    if (table.unread_since_ == nullptr) {
        return tl::unexpected(system_error("map", "the table of unread data", errno));
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
    std::swap(unread_since_, other.unread_since_);
    std::swap(slots_bytes_, other.slots_bytes_);
    std::swap(unread_since_bytes_, other.unread_since_bytes_);
    std::swap(size_, other.size_);
    return *this;
}

SlotTable::~SlotTable()
{
    if (slots_ != nullptr) {
        munmap(const_cast<std::byte*>(slots_), slots_bytes_);
    }
    if (unread_since_ != nullptr) {
        munmap(const_cast<std::byte*>(unread_since_), unread_since_bytes_);
    }
}

std::uint64_t SlotTable::unread_since_ns(std::uint32_t slot) const
{
    const auto* at = reinterpret_cast<const std::uint64_t*>(unread_since_) + slot;
    return __atomic_load_n(at, __ATOMIC_RELAXED);
}

std::optional<dw_slot> SlotTable::read(std::uint32_t slot) const
{
    const std::byte* at = slots_ + std::size_t{slot} * sizeof(dw_slot);
    dw_slot first;
    dw_slot second;
    std::memcpy(&first, at, sizeof(first));
    for (int i = 0; i < kTries; i++) {
        std::atomic_thread_fence(std::memory_order_acquire);
        std::memcpy(&second, at, sizeof(second));
        if (std::memcmp(&first, &second, sizeof(first)) == 0) {
            return first;
        }
        first = second;
    }
    return std::nullopt;
}

}  // namespace drainwatch
