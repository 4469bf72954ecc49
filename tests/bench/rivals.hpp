#pragma once

#include "bench/tool.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace drainwatch::bench {

/// A way to watch a port's receive queues that somebody has on a host already, and ours.
struct Rival {
    std::string name;
    std::vector<std::string> command;
    std::chrono::milliseconds start;  ///< until it certainly sees every segment
    std::string rule;                 ///< what of its output is taken for telling of the stall
    /// The line by which it first told of it, of those after `from_ns`; CLOCK_REALTIME.
    std::function<std::optional<TimedLine>(const std::vector<TimedLine>&, std::uint64_t from_ns)>
        told;
};

/// All of them, for a port of a process of this name. They may write to `file`.
[[nodiscard]] std::vector<Rival> rivals(const std::string& comm, std::uint16_t port,
                                        const std::string& file);

}  // namespace drainwatch::bench
