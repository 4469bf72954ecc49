#pragma once

#include "bench/results.hpp"
#include "bench/statistics.hpp"

#include <unistd.h>
#include <string>
#include <vector>

namespace drainwatch::bench {

/// What is wanted of a part.
struct Settings {
    std::vector<std::string> only;           ///< some of what the part measures; empty: all of it
    int rounds = 0;                          ///< 0: as many as the part has by itself
    std::vector<std::string> watch_options;  ///< further ones of drainwatch
};

/// Name of the processes that are watched; no others have it.
[[nodiscard]] inline std::string watched_comm()
{
    return "bench-" + std::to_string(getpid());
}

/// Each prints a table, and returns what it measured.

/// Nanoseconds of each program for each event, beside those of an empty twin.
[[nodiscard]] Json measure_kernel(const Settings& settings);
/// Throughput with drainwatch, with empty twins, and with nothing.
[[nodiscard]] Json measure_throughput(const Settings& settings);

/// What other tools cost on the same traffic, and when each tells of the same stall.
[[nodiscard]] Json compare_rivals(const Settings& settings);

/// CPU, memory and time as the sockets become more.
[[nodiscard]] Json measure_scale(const Settings& settings);

/// Start and CPU of both tiers on a host like those it was made for.
[[nodiscard]] Json measure_host(const Settings& settings);

/// {median, low, high}
[[nodiscard]] inline Json to_json(const Estimate& estimate)
{
    return {{"median", estimate.median}, {"low", estimate.low}, {"high", estimate.high}};
}

}  // namespace drainwatch::bench
