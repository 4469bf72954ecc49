#pragma once

#include <string>

/// Figures of three digits, with their units.
namespace drainwatch {

/// "850 ns", "12.3 us", "4.56 ms", "1.20 s", "340 s"
[[nodiscard]] std::string duration_in_words(double ns);

/// "150 B", "64.0 KiB", "1.25 MiB"
[[nodiscard]] std::string bytes_in_words(double bytes);

}  // namespace drainwatch
