#pragma once

#include "detect/monitor.hpp"
#include "output/event.hpp"
#include "output/time.hpp"

namespace drainwatch {

/// An alert as a line: adds who owns the socket, and puts kernel times on the calendar.
[[nodiscard]] Event to_event(const Alert& alert, std::optional<Process> process,
                             std::optional<std::uint32_t> fd, const ClockPair& clocks);

}  // namespace drainwatch
