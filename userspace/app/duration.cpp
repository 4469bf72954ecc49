#include "app/duration.hpp"

#include <fmt/format.h>
#include <array>
#include <charconv>
#include <cmath>

namespace drainwatch {
namespace {

struct Unit {
    std::string_view suffix;
    double ns;
};

constexpr std::array<Unit, 5> kUnits{
    {{"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}}};

constexpr double kLongestNs = 10 * 365.0 * 24 * 3600e9;

}  // namespace

Result<std::chrono::nanoseconds> parse_duration(std::string_view text)
{
    const auto malformed = [&] {
        return fail(fmt::format("\"{}\" is no duration: write it like 250ms, 1s, 10m or 4h", text));
    };
    double value = 0;
    const char* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, value, std::chars_format::fixed);
    if (error != std::errc{} || !std::isfinite(value) || text.starts_with('-')) {
        return malformed();
    }
    const std::string_view suffix(rest, static_cast<std::size_t>(end - rest));
    if (suffix.empty() && value == 0) {
        return std::chrono::nanoseconds(0);
    }
    for (const Unit& unit : kUnits) {
        if (suffix != unit.suffix) {
            continue;
        }
        if (value * unit.ns > kLongestNs) {
            return fail(fmt::format("\"{}\" is too long a duration: at most 10 years", text));
        }
        return std::chrono::nanoseconds(std::llround(value * unit.ns));
    }
    return malformed();
}

}  // namespace drainwatch
