#pragma once

#include "drainwatch/result.hpp"
#include "drainwatch/source.hpp"

namespace drainwatch {

/// Is one of the pids a mere thread? The error says of which process.
[[nodiscard]] Result<void> check_pids(const Targets& targets);

}  // namespace drainwatch
