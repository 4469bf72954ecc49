#include "detect/finding.hpp"
#include "detect/wording.hpp"

#include <fmt/format.h>
#include <algorithm>

namespace drainwatch {

std::optional<Finding> falling_behind(const Reading& r, const Limits& limits)
{
    if (!r.reads || !r.piles_up() || !r.if_reading || r.closed) {
        return std::nullopt;
    }
    const double horizon_s = std::chrono::duration<double>(limits.horizon).count();
    if (std::max(r.if_reading->short_s, r.if_reading->long_s) > horizon_s) {
        return std::nullopt;
    }
    const bool soon = r.closed_in_effect || r.if_reading->long_s <= horizon_s / 5;
    return Finding{
        Trouble::falling_behind, soon ? Severity::critical : Severity::warning,
        r.if_reading->long_s,
        fmt::format("the reader loses ground: {:.0f} bytes/s come in, {:.0f} are read; {}{}",
                    r.arrival_bytes_per_s, r.drain_bytes_per_s, queue_in_words(r),
                    forecast_in_words(r.if_reading->long_s))};
}

}  // namespace drainwatch
