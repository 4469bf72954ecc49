#pragma once

#include "drainwatch/abi.h"
#include "drainwatch/result.hpp"
#include "drainwatch/sample.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>

namespace drainwatch {

/// The kernel side's table of sockets, mapped: a look costs no system call. Only the flags that
/// call for attention are written to from here.
class SlotTable {
public:
    [[nodiscard]] static Result<SlotTable> map(int slots_fd, int attention_fd, std::uint32_t size);

    SlotTable(SlotTable&& other) noexcept;
    SlotTable& operator=(SlotTable&& other) noexcept;
    SlotTable(const SlotTable&) = delete;
    SlotTable& operator=(const SlotTable&) = delete;
    ~SlotTable();

    [[nodiscard]] std::uint32_t size() const { return size_; }

    /// May the slot hold unread data? A flag that turns out to be out of date is taken back.
    [[nodiscard]] bool calls_for_attention(std::uint32_t slot);

    /// A copy of a slot that the kernel did not change half way: two looks agree. Nothing if it
    /// changes too fast, which a later look will not find.
    [[nodiscard]] std::optional<dw_slot> read(std::uint32_t slot) const;

    /// Which of the first `end` slots is this socket's.
    [[nodiscard]] std::optional<std::uint32_t> find(Cookie cookie, std::uint32_t end) const;

    /// Of the first `end` slots, when the longest idle of those became so that have had nothing
    /// unread since before `limit_ns`: the `number`-th of them, or the last. 0 without any.
    [[nodiscard]] std::uint64_t idle_since(std::uint32_t end, std::size_t number,
                                           std::uint64_t limit_ns) const;

    /// Network namespaces of the sockets that are watched in the first `end` slots.
    [[nodiscard]] std::set<std::uint32_t> namespaces(std::uint32_t end) const;

private:
    SlotTable() = default;

    [[nodiscard]] const std::byte* at(std::uint32_t slot) const;

    const std::byte* slots_ = nullptr;
    std::byte* attention_ = nullptr;
    std::size_t slots_bytes_ = 0;
    std::size_t attention_bytes_ = 0;
    std::uint32_t size_ = 0;
};

}  // namespace drainwatch
