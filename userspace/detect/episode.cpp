#include "detect/episode.hpp"

#include <algorithm>
#include <utility>

namespace drainwatch {
namespace {

constexpr std::uint64_t kCalmWhenEmptyNs = 200'000'000;
constexpr std::uint64_t kCalmWhenReadingNs = 2'000'000'000;
constexpr std::uint64_t kZeroReportSpacingNs = 10'000'000'000;

}  // namespace

bool Episode::raise(const Finding& finding, std::uint64_t now_ns)
{
    calm_since_ns_ = 0;
    if (raised_ && *raised_ >= finding.severity) {
        return false;
    }
    raised_ = finding.severity;
    if (began_ns_ == 0) {
        began_ns_ = now_ns;
    }
    if (first_warning_ns_ == 0) {
        first_warning_ns_ = now_ns;
    }
    return true;
}

bool Episode::closed(std::uint64_t at_ns)
{
    calm_since_ns_ = 0;
    zero_windows_++;
    if (began_ns_ == 0) {
        began_ns_ = at_ns;
    }
    if (first_zero_ns_ == 0) {
        first_zero_ns_ = at_ns;
    }
    const bool report = zero_reported_ns_ == 0 || at_ns - zero_reported_ns_ >= kZeroReportSpacingNs;
    unreported_ns_ = report ? 0 : at_ns;
    if (report) {
        zero_reported_ns_ = at_ns;
        reopening_is_due_ = true;
    }
    return report;
}

std::optional<std::uint64_t> Episode::late_report(std::uint64_t now_ns)
{
    if (unreported_ns_ == 0 || now_ns < zero_reported_ns_ + kZeroReportSpacingNs) {
        return std::nullopt;
    }
    zero_reported_ns_ = now_ns;
    reopening_is_due_ = true;
    return std::exchange(unreported_ns_, 0);
}

bool Episode::reopened()
{
    unreported_ns_ = 0;
    return std::exchange(reopening_is_due_, false);
}

bool Episode::over(const Reading& reading, const Limits& limits)
{
    if (!is_calm(reading, limits)) {
        calm_since_ns_ = 0;
        return false;
    }
    if (calm_since_ns_ == 0) {
        calm_since_ns_ = reading.at_ns;
    }
    const std::uint64_t enough = reading.unread_bytes == 0 ? kCalmWhenEmptyNs : kCalmWhenReadingNs;
    return reading.at_ns - calm_since_ns_ >= enough;
}

void Episode::note_queue(std::uint32_t bytes)
{
    max_queue_bytes_ = std::max(max_queue_bytes_, bytes);
}

std::optional<std::uint64_t> Episode::lead_ns() const
{
    if (first_warning_ns_ == 0 || first_zero_ns_ == 0) {
        return std::nullopt;
    }
    return first_zero_ns_ > first_warning_ns_ ? first_zero_ns_ - first_warning_ns_ : 0;
}

std::uint64_t Episode::duration_ns(std::uint64_t now_ns) const
{
    const std::uint64_t end = calm_since_ns_ != 0 ? calm_since_ns_ : now_ns;
    return end > began_ns_ ? end - began_ns_ : 0;
}

}  // namespace drainwatch
