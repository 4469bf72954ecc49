#pragma once

#include "app/options.hpp"
#include "detect/monitor.hpp"
#include "drainwatch/source.hpp"
#include "output/event.hpp"

#include <cstdint>
#include <string>
#include <vector>

/// What a session says of itself, as against what it says of sockets.
namespace drainwatch {

[[nodiscard]] Event start_event(const WatchOptions& options, const Source& source,
                                const std::vector<std::string>& capabilities);

[[nodiscard]] Event target_event(const ProcessNotice& notice);

/// `losses`: all there are; `told`: those that were told before. `lines_left_out`: of the output.
[[nodiscard]] Event lost_event(const Source& source, const Losses& losses, const Losses& told,
                               std::uint64_t lines_left_out);

/// What of sockets it has told of. What follows is added to it.
[[nodiscard]] Event summary_event(const Monitor::Totals& totals);
void add_losses(Event& summary, const Source& source, const Losses& losses,
                std::uint64_t lines_left_out);
/// Since `began_ns`; CLOCK_MONOTONIC.
void add_cost(Event& summary, const Source& source, std::uint64_t began_ns);

}  // namespace drainwatch
