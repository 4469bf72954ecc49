#pragma once

#include <cstdint>

namespace drainwatch {

/// What a hook has done since the start: how often it ran, and what those runs took that were
/// timed, without the way to the program and back.
struct HookRuns {
    std::uint64_t count = 0;
    std::uint64_t timed = 0;
    std::uint64_t timed_ns = 0;
    std::uint64_t way_ns = 0;  ///< what that way takes on this host; 0: there is none
};

}  // namespace drainwatch
