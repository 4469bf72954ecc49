#pragma once

#include <cstdint>
#include <string>

namespace drainwatch {

/// Nanoseconds since 1970 as RFC 3339, UTC, microseconds: "2026-11-23T07:25:01.123456Z".
[[nodiscard]] std::string rfc3339(std::uint64_t realtime_ns);

/// Both clocks, read at one time, to turn kernel times into those of a calendar.
struct ClockPair {
    std::uint64_t monotonic_ns = 0;
    std::uint64_t realtime_ns = 0;

    [[nodiscard]] std::uint64_t to_realtime(std::uint64_t at_monotonic_ns) const
    {
        return realtime_ns - monotonic_ns + at_monotonic_ns;
    }
    /// 0 for what was before the host began to run.
    [[nodiscard]] std::uint64_t to_monotonic(std::uint64_t at_realtime_ns) const
    {
        const std::uint64_t began_ns = realtime_ns - monotonic_ns;
        return at_realtime_ns > began_ns ? at_realtime_ns - began_ns : 0;
    }
};

}  // namespace drainwatch
