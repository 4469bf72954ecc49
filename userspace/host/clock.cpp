#include "host/clock.hpp"

#include "drainwatch/units.hpp"

#include <ctime>

namespace drainwatch {
namespace {

std::uint64_t to_ns(const timespec& t)
{
    return static_cast<std::uint64_t>(t.tv_sec) * kNsPerS + static_cast<std::uint64_t>(t.tv_nsec);
}

std::uint64_t now(clockid_t clock)
{
    timespec t{};
    clock_gettime(clock, &t);
    return to_ns(t);
}

}  // namespace

std::uint64_t monotonic_ns()
{
    return now(CLOCK_MONOTONIC);
}

std::uint64_t realtime_ns()
{
    return now(CLOCK_REALTIME);
}

ClockPair clock_pair()
{
    constexpr int kTries = 5;
    ClockPair best;
    std::uint64_t closest = ~0ULL;
    for (int i = 0; i < kTries; i++) {
        const std::uint64_t before = monotonic_ns();
        const std::uint64_t realtime = realtime_ns();
        const std::uint64_t distance = monotonic_ns() - before;
        if (distance < closest) {
            closest = distance;
            best = {before + distance / 2, realtime};
        }
    }
    return best;
}

std::uint64_t jiffy_ns()
{
    // The coarse clocks advance once a jiffy, and say so (kernel/time/posix-timers.c,
    // KTIME_LOW_RES).
    timespec t{};
    clock_getres(CLOCK_MONOTONIC_COARSE, &t);
    return to_ns(t);
}

std::uint64_t cpu_ns()
{
    return now(CLOCK_PROCESS_CPUTIME_ID);
}

}  // namespace drainwatch
