#include "app/share.hpp"

#include "output/escape.hpp"

#include <fmt/format.h>
#include <charconv>

namespace drainwatch {

Result<double> parse_share(const std::string& text)
{
    double value = 0;
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, value, std::chars_format::fixed);
    const std::string unit(rest, end);
    const bool has_unit = unit == "%" || (unit.empty() && value == 0);
    if (error != std::errc{} || !has_unit || !(value >= 0 && value <= 100)) {
        return fail(fmt::format("\"{}\" is no share of a core: write 1% or 0.5%, or 0 for no limit",
                                escape(text)));
    }
    return value / 100;
}

std::string percent(double share)
{
    return fmt::format("{:.3g} %", share * 100);
}

}  // namespace drainwatch
