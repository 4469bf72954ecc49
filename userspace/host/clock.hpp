#pragma once

#include "output/time.hpp"

#include <cstdint>

namespace drainwatch {

/// CLOCK_MONOTONIC in nanoseconds: the clock of bpf_ktime_get_ns() and tcp_clock_cache.
[[nodiscard]] std::uint64_t monotonic_ns();

/// CLOCK_REALTIME in nanoseconds since 1970.
[[nodiscard]] std::uint64_t realtime_ns();

/// Both at one time: the reads that lay closest together, for this thread may lose its CPU
/// between them.
[[nodiscard]] ClockPair clock_pair();

/// Length of a jiffy.
[[nodiscard]] std::uint64_t jiffy_ns();

/// CPU time that this process has used, user and system.
[[nodiscard]] std::uint64_t cpu_ns();

}  // namespace drainwatch
