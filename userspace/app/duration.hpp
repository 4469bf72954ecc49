#pragma once

#include "drainwatch/result.hpp"

#include <chrono>
#include <string_view>

namespace drainwatch {

/// "250ms", "1s", "1.5s", "10m", "4h"; "0" needs no unit. Not negative, at most 10 years.
[[nodiscard]] Result<std::chrono::nanoseconds> parse_duration(std::string_view text);

}  // namespace drainwatch
