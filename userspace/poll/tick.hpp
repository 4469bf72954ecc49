#pragma once

#include "drainwatch/source.hpp"

#include <cstdint>

namespace drainwatch {

/// The spacing of what is to be done at each tick. The session comes once a tick: what is due a
/// little later would wait for the next.
[[nodiscard]] inline std::uint64_t almost_a_tick_ns(const SourceOptions& options)
{
    return static_cast<std::uint64_t>(options.tick.count()) * 9 / 10;
}

}  // namespace drainwatch
