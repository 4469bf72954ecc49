#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace drainwatch::corpus {

/// splitmix64 (Steele, Lea, Flood 2014): the same numbers from the same seed on every machine,
/// which the distributions of <random> do not promise.
class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed) {}

    std::uint64_t next()
    {
        std::uint64_t z = state_ += 0x9e3779b97f4a7c15U;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
        return z ^ (z >> 31);
    }

    /// From 0 to below 1.
    double share() { return static_cast<double>(next() >> 11) * 0x1p-53; }

    /// Both ends included.
    std::uint32_t between(std::uint32_t low, std::uint32_t high)
    {
        return low + static_cast<std::uint32_t>(share() * (high - low + 1.0));
    }

    /// As many below the geometric mean of the ends as above it.
    std::uint32_t scaled(std::uint32_t low, std::uint32_t high)
    {
        const double ratio = static_cast<double>(high) / low;
        return static_cast<std::uint32_t>(std::lround(low * std::pow(ratio, share())));
    }

    template <typename T>
    T one_of(std::initializer_list<T> values)
    {
        return values.begin()[between(0, static_cast<std::uint32_t>(values.size()) - 1)];
    }

private:
    std::uint64_t state_;
};

}  // namespace drainwatch::corpus
