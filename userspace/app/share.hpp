#pragma once

#include "drainwatch/result.hpp"

#include <string>

namespace drainwatch {

/// "1%", "0.5%", "0": a share of one core, from 0 to 1. The error is one sentence.
[[nodiscard]] Result<double> parse_share(const std::string& text);

/// "0.5 %"
[[nodiscard]] std::string percent(double share);

}  // namespace drainwatch
