#include "detect/finding.hpp"
#include "detect/wording.hpp"
#include "state/forecast.hpp"

#include <fmt/format.h>
#include <algorithm>

namespace drainwatch {
namespace {

/// Silences below this are the scheduler's, not the reader's.
constexpr double kShortestSilenceS = 0.020;

/// A forecast counts once the silence is this share of the whole way to zero: early enough to
/// leave more than nine tenths of the lead, late enough to rest on more than a burst.
constexpr double kSilentShare = 0.08;

double seconds(std::uint64_t ns)
{
    return static_cast<double>(ns) / 1e9;
}

double seconds(std::chrono::nanoseconds d)
{
    return std::chrono::duration<double>(d).count();
}

bool near_zero(const Forecast& forecast, const Limits& limits)
{
    return std::max(forecast.short_s, forecast.long_s) <= seconds(limits.horizon);
}

/// Who has so much of the way behind him may hold his peer: messages that wait for an ACK are put
/// together, and may be more than the rest of the window.
constexpr double kNearlyFull = 15.0 / 16;

/// The watch found it so: the window is closed, or too small for the peer's next segment, which
/// waits until it is sent as a window probe. At what rate it came here, nobody saw.
bool was_closed_before(const Reading& r)
{
    const bool holds_peer = (r.closed_in_effect || r.fill() >= kNearlyFull) &&
                            seconds(r.silent_ns) >= kShortestSilenceS;
    return r.age_is_lower_bound && (r.closed || holds_peer);
}

/// Deeper than this reader has ever coped with, by half of what was left.
bool deeper_than_usual(const Reading& r)
{
    return r.unread_bytes > (r.usual_depth_bytes + r.unread_bytes + r.to_zero_bytes) / 2;
}

bool silent_too_long(const Reading& r, const Forecast& forecast)
{
    const double silent_s = seconds(r.silent_ns);
    const double shortest =
        std::max(kShortestSilenceS, kSilentShare * (silent_s + forecast.long_s));
    if (silent_s < shortest) {
        return false;
    }
    return silent_s >= seconds(r.usual_silence_ns) || deeper_than_usual(r);
}

/// Silent for no longer than it usually is, and all that is old has been read.
bool is_between_reads(const Reading& r, const Limits& limits)
{
    return r.silent_ns <= r.usual_silence_ns &&
           r.age_ns < static_cast<std::uint64_t>(limits.warn_after.count());
}

std::string silence_in_words(const Reading& r)
{
    if (!r.since_read_ns) {
        return "nothing has been read yet";
    }
    return fmt::format("no read for {}", in_words(seconds(r.silent_ns)));
}

Finding found(const Reading& r, Severity severity)
{
    const auto zero = r.closed ? std::nullopt : zero_in_s(r);
    return {Trouble::not_draining, severity, zero,
            fmt::format("{}; {}{}{}", silence_in_words(r), queue_in_words(r),
                        r.closed ? "; the window is closed" : "", forecast_in_words(zero))};
}

}  // namespace

std::optional<Finding> not_draining(const Reading& r, const Limits& limits)
{
    if (r.unread_bytes == 0 || !r.wanted) {
        return std::nullopt;
    }
    if (r.silent_ns >= static_cast<std::uint64_t>(limits.critical_after.count())) {
        return found(r, Severity::critical);
    }
    if (r.silent_ns >= static_cast<std::uint64_t>(limits.warn_after.count())) {
        return found(r, Severity::warning);
    }
    if (was_closed_before(r)) {
        return found(r, Severity::warning);
    }
    if (r.if_silent && near_zero(*r.if_silent, limits) && silent_too_long(r, *r.if_silent)) {
        return found(r, Severity::warning);
    }
    return std::nullopt;
}

std::optional<double> zero_in_s(const Reading& r)
{
    if (r.closed || (r.reads && !r.piles_up())) {
        return std::nullopt;
    }
    const auto& forecast = r.reads ? r.if_reading : r.if_silent;
    if (!forecast) {
        return std::nullopt;
    }
    return forecast->long_s + (r.ends_with_probe ? kProbeDelayS : 0);
}

bool is_calm(const Reading& r, const Limits& limits)
{
    // After a FIN no segment tells of the window any more.
    if (r.closed_in_effect && (r.closed || !r.peer_is_done)) {
        return false;
    }
    if (r.unread_bytes == 0 || !r.wanted) {
        return true;
    }
    if (2 * r.silent_ns >= static_cast<std::uint64_t>(limits.warn_after.count()) &&
        !is_between_reads(r, limits)) {
        return false;
    }
    const auto zero = zero_in_s(r);
    return !zero || *zero > 1.5 * seconds(limits.horizon);
}

bool is_suspicious(const Reading& r, const Limits& limits)
{
    const double forecast_s = std::min(r.if_silent ? r.if_silent->long_s : 1e9,
                                       r.if_reading ? r.if_reading->long_s : 1e9);
    // A poll finds out about data when it may be a tick old.
    const bool lies = r.estimated || r.age_ns > 2'000'000;
    return r.wanted && r.unread_bytes > 0 && lies &&
           (forecast_s <= seconds(limits.horizon) || r.fill() > 1.0 / 16);
}

}  // namespace drainwatch
