#pragma once

#include <cstdint>

namespace drainwatch::test {

constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kSecond = 1000 * kMs;

/// A moment to begin at: the clock has run for a while.
constexpr std::uint64_t kBegin = 1000 * kSecond;

}  // namespace drainwatch::test
