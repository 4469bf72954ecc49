#include "profile/units.hpp"

#include <fmt/format.h>
#include <array>
#include <span>
#include <string_view>

namespace drainwatch {
namespace {

constexpr std::array<std::string_view, 4> kTimes{"ns", "us", "ms", "s"};
constexpr std::array<std::string_view, 5> kSizes{"B", "KiB", "MiB", "GiB", "TiB"};

/// The smallest unit is a whole: its figures have no fraction.
std::string in_words(double value, double step, std::span<const std::string_view> units)
{
    // From here on three digits would be rounded to the next unit.
    constexpr double kRoundsUp = 999.5;
    std::size_t unit = 0;
    while (value >= kRoundsUp && unit + 1 < units.size()) {
        value /= step;
        unit++;
    }
    const int decimals = unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    return fmt::format("{:.{}f} {}", value, decimals, units[unit]);
}

}  // namespace

std::string duration_in_words(double ns)
{
    return in_words(ns, 1000, kTimes);
}

std::string bytes_in_words(double bytes)
{
    return in_words(bytes, 1024, kSizes);
}

}  // namespace drainwatch
