#pragma once

#include "drainwatch/abi.h"
#include "drainwatch/result.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace drainwatch {

/// The kernel side's table of sockets, mapped read-only: a look costs no system call.
class SlotTable {
public:
    [[nodiscard]] static Result<SlotTable> map(int slots_fd, int unread_since_fd,
                                               std::uint32_t size);

    SlotTable(SlotTable&& other) noexcept;
    SlotTable& operator=(SlotTable&& other) noexcept;
    SlotTable(const SlotTable&) = delete;
    SlotTable& operator=(const SlotTable&) = delete;
    ~SlotTable();

    [[nodiscard]] std::uint32_t size() const { return size_; }

    /// When the slot's oldest unread byte arrived; 0 if all is read.
    [[nodiscard]] std::uint64_t unread_since_ns(std::uint32_t slot) const;

    /// A copy of a slot that the kernel did not change half way: two looks agree. Nothing if it
    /// changes too fast, which a later look will not find.
    [[nodiscard]] std::optional<dw_slot> read(std::uint32_t slot) const;

private:
    SlotTable() = default;

    const std::byte* slots_ = nullptr;
    const std::byte* unread_since_ = nullptr;
    std::size_t slots_bytes_ = 0;
    std::size_t unread_since_bytes_ = 0;
    std::uint32_t size_ = 0;
};

}  // namespace drainwatch
