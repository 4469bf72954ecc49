#pragma once

#include "bpf/slots.hpp"
#include "drainwatch/result.hpp"

#include <cstdint>

struct drainwatch_bpf;

namespace drainwatch {

/// Which slots of the table are in use, and who is given the others.
class SlotPool {
public:
    SlotPool(const drainwatch_bpf& kernel_side, SlotTable& table);

    /// All are free: before anything is attached.
    [[nodiscard]] Result<void> fill();

    /// Slots from here on have never been in use.
    [[nodiscard]] std::uint32_t in_use() const;

    /// If few are free, the sockets that were idle longest are to give theirs back when a look
    /// comes to them.
    void make_room();
    /// Few are free, unless that look finds some.
    [[nodiscard]] bool is_short() const;

    /// From now on, sockets with nothing unread are given one as well, whatever their number. False
    /// if some were left out until now.
    [[nodiscard]] bool serve_all();

    /// Takes back what no look comes to any more. Only while the kernel side is at rest.
    void clear();

private:
    [[nodiscard]] Result<void> fill_one_by_one();
    [[nodiscard]] Result<void> give_back(std::uint32_t slot);

    const drainwatch_bpf& kernel_side_;
    SlotTable& table_;
};

}  // namespace drainwatch
