#pragma once

#include <cmath>
#include <cstdint>

namespace drainwatch {

constexpr std::uint64_t kNsPerMs = 1'000'000;
constexpr std::uint64_t kNsPerS = 1'000'000'000;

/// A time that does not come.
constexpr std::uint64_t kNever = ~std::uint64_t{0};

/// To the nearest millisecond, as it is printed.
[[nodiscard]] inline std::int64_t ms(std::uint64_t ns)
{
    return std::llround(static_cast<double>(ns) / kNsPerMs);
}

}  // namespace drainwatch
