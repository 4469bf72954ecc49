#include "budget/cost_meter.hpp"

namespace drainwatch {
namespace {

/// From the tracepoint to the program and back: what an empty program costs (Linux 6.18).
constexpr std::uint64_t kWayNs = 36;

}  // namespace

std::uint64_t CostMeter::take(const HookRuns& runs)
{
    const std::uint64_t count = runs.count - last_.count;
    if (const std::uint64_t timed = runs.timed - last_.timed; timed != 0) {
        mean_ns_ = (runs.timed_ns - last_.timed_ns) / timed;
    }
    last_ = runs;
    return count * (kWayNs + mean_ns_);
}

}  // namespace drainwatch
