#include "detect/wording.hpp"

#include <fmt/format.h>

namespace drainwatch {

std::string in_words(double seconds)
{
    if (seconds < 0.9995) {
        return fmt::format("{:.0f} ms", seconds * 1e3);
    }
    if (seconds < 120.0) {
        return fmt::format("{:.1f} s", seconds);
    }
    return fmt::format("{:.0f} min", seconds / 60.0);
}

std::string queue_in_words(const Reading& reading)
{
    const std::string bytes =
        reading.unread_is.empty()
            ? fmt::format("{} bytes wait unread", reading.unread_bytes)
            : fmt::format("{} unread bytes: {}", reading.unread_bytes, reading.unread_is);
    return fmt::format("{}, the oldest for {}{}", bytes,
                       reading.age_is_lower_bound ? "at least " : "",
                       in_words(static_cast<double>(reading.age_ns) / 1e9));
}

std::string forecast_in_words(std::optional<double> zero_in_s)
{
    return zero_in_s ? fmt::format("; zero window in about {}", in_words(*zero_in_s)) : "";
}

}  // namespace drainwatch
