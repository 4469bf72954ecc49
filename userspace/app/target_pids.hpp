#pragma once

#include "drainwatch/result.hpp"
#include "drainwatch/source.hpp"

#include <string>
#include <vector>

namespace drainwatch {

/// Is one of the pids a mere thread? The error says of which process.
[[nodiscard]] Result<void> check_pids(const Targets& targets);

/// Which targets are none of these processes: "gip", "pid 77".
[[nodiscard]] std::vector<std::string> not_among(const std::vector<ProcessNotice>& processes,
                                                 Targets targets);

}  // namespace drainwatch
