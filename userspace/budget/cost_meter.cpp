#include "budget/cost_meter.hpp"

namespace drainwatch {

std::uint64_t CostMeter::take(const HookRuns& runs)
{
    const std::uint64_t count = runs.count - last_.count;
    if (const std::uint64_t timed = runs.timed - last_.timed; timed != 0) {
        mean_ns_ = (runs.timed_ns - last_.timed_ns) / timed;
    }
    last_ = runs;
    return count * (runs.way_ns + mean_ns_);
}

}  // namespace drainwatch
