#include "state/reading.hpp"

#include "drainwatch/units.hpp"
#include "state/forecast.hpp"

#include <algorithm>
#include <cmath>

namespace drainwatch {
namespace {

/// Rates that are printed are those of the last second.
constexpr std::uint64_t kRateWindowNs = 1000 * kNsPerMs;

/// Who has unread data when the watch begins may be reading it: for so long, only what was seen of
/// his silence counts.
constexpr std::uint64_t kFirstSightNs = 100 * kNsPerMs;

/// A habit is exceeded by half as much again.
constexpr std::uint64_t kHabitMargin = 3;  // over 2

/// Windows over which a reader's troughs are compared: a little longer than its reads are apart,
/// between these, and so long that enough looks fall into each.
constexpr std::uint64_t kShortestTroughNs = 25 * kNsPerMs;
constexpr std::uint64_t kLongestTroughNs = 1000 * kNsPerMs;

/// And not shorter than this part of what is forecast, where there are such.
constexpr double kTroughShare = 0.1;

/// A queue that rises still a quarter as fast as on the average of its life rises as it did.
constexpr double kRisesStill = 4;

std::optional<double> seconds_to_zero(double bytes, double bytes_per_s)
{
    if (bytes_per_s <= 0 || !std::isfinite(bytes)) {
        return std::nullopt;
    }
    return bytes / bytes_per_s;
}

/// For how long nobody has read, though there was something to be read.
std::uint64_t silence(const SocketSample& sample, std::uint64_t since_ns)
{
    const std::uint64_t silent_ns = sample.taken_ns - std::min(since_ns, sample.taken_ns);
    const std::uint64_t watched_ns =
        sample.taken_ns - std::min(sample.watched_since_ns, sample.taken_ns);
    const bool may_have_read = sample.age_is_lower_bound && sample.last_read_ns == 0;
    return may_have_read && watched_ns < kFirstSightNs ? std::min(silent_ns, watched_ns)
                                                       : silent_ns;
}

/// Rates of what arrives while the reader is silent: since it is, and in the last third of that.
struct Rates {
    double short_bytes_per_s = 0;
    double long_bytes_per_s = 0;
};

std::optional<Rates> rates_of_silence(const SocketSample& sample, std::uint64_t silent_since_ns)
{
    if (silent_since_ns == 0 || sample.taken_ns <= silent_since_ns) {
        return std::nullopt;
    }
    const std::uint64_t silent_ns = sample.taken_ns - silent_since_ns;
    const std::uint64_t recent_ns = std::max(silent_ns / 3, std::min(silent_ns, 10 * kNsPerMs));
    const auto long_rate = arrival_rate(sample, silent_since_ns);
    const auto short_rate = arrival_rate(sample, sample.taken_ns - recent_ns);
    if (!long_rate || !short_rate) {
        return std::nullopt;
    }
    return Rates{*short_rate, *long_rate};
}

/// Silent reader: everything that arrives stays.
std::optional<Forecast> forecast_if_silent(const Rates& rates, double to_zero)
{
    const auto long_s = seconds_to_zero(to_zero, rates.long_bytes_per_s);
    const auto short_s = seconds_to_zero(to_zero, rates.short_bytes_per_s);
    if (!long_s || !short_s) {
        return std::nullopt;
    }
    return Forecast{*short_s, *long_s};
}

/// The smallest queues of three windows in a row.
struct Troughs {
    double latest = 0;
    double previous = 0;
    double before = 0;
};

/// Nothing where looks come too rarely for windows of this length.
std::optional<Troughs> latest_troughs(const History& history, std::uint64_t window_ns)
{
    const auto latest = history.trough(window_ns, 0);
    const auto previous = history.trough(2 * window_ns, window_ns);
    const auto before = history.trough(3 * window_ns, 2 * window_ns);
    return latest && previous && before ? std::optional(Troughs{*latest, *previous, *before})
                                        : std::nullopt;
}

/// By the rise of the troughs; nothing if they do not rise.
std::optional<Forecast> forecast_by(const Troughs& troughs, double to_zero, double window_s)
{
    const auto& [latest, previous, before] = troughs;
    if (latest <= previous || previous < before) {
        return std::nullopt;
    }
    const auto short_s = seconds_to_zero(to_zero, (latest - previous) / window_s);
    const auto long_s = seconds_to_zero(to_zero, (latest - before) / (2 * window_s));
    return short_s && long_s ? std::optional(Forecast{*short_s, *long_s}) : std::nullopt;
}

/// A queue that was seen to begin, and rises still about as it did: one that came with a burst, and
/// stands since, does not.
bool rises_from_its_beginning(const History& history, double latest, double bytes_per_s)
{
    const double average = latest * kNsPerS / static_cast<double>(history.length_ns());
    return history.shows_beginning() && kRisesStill * bytes_per_s >= average;
}

/// Reader at work: the troughs of the queue rise. Those of short windows do so now and then in any
/// queue that stands, by a message or two: what is farther away must show in longer ones as well,
/// unless the queue has risen for all of its life.
std::optional<Forecast> forecast_if_reading(const History& history, double to_zero,
                                            std::uint64_t read_spacing_ns)
{
    std::optional<Forecast> forecast;
    double latest = 0;
    bool is_enough = false;
    std::uint64_t window_ns =
        std::clamp(read_spacing_ns * 5 / 4, kShortestTroughNs, kLongestTroughNs);
    // Of the first windows, one may lie before the queue's beginning.
    const auto fits = [&] {
        return window_ns <= kLongestTroughNs &&
               (forecast ? 3 : 2) * window_ns <= history.length_ns();
    };
    for (; fits() && !is_enough; window_ns *= 2) {
        const auto troughs = latest_troughs(history, window_ns);
        if (!troughs) {
            continue;
        }
        const double window_s = static_cast<double>(window_ns) / kNsPerS;
        const auto by_these = forecast_by(*troughs, to_zero, window_s);
        if (!by_these) {
            return std::nullopt;
        }
        const double latest_s = std::max(by_these->short_s, forecast ? forecast->short_s : 0);
        forecast = Forecast{std::max(latest_s, by_these->long_s), by_these->long_s};
        latest = troughs->latest;
        const bool all_were_seen = 3 * window_ns <= history.length_ns();
        is_enough = all_were_seen && (window_s >= kTroughShare * by_these->long_s ||
                                      2 * window_ns > kLongestTroughNs);
    }
    if (!forecast || is_enough) {
        return forecast;
    }
    return rises_from_its_beginning(history, latest, to_zero / forecast->short_s) ? forecast
                                                                                  : std::nullopt;
}

}  // namespace

Reading make_reading(const SocketSample& sample, const History& history)
{
    const dw_window& window = sample.window;
    Reading r;
    r.at_ns = sample.taken_ns;
    r.queue_bytes = dw_recv_queue(&window);
    r.unread_bytes = sample.unread_bytes();
    r.headroom_bytes = dw_window_next(&window);
    r.rcvbuf_bytes = static_cast<std::uint32_t>(std::max(window.rcvbuf, 0));
    r.rmem_bytes = static_cast<std::uint32_t>(std::max(window.rmem, 0));
    r.closed = sample.closed;
    r.window_known = !(window.flags & DW_WINDOW_UNKNOWN);
    r.closed_in_effect =
        sample.closed || (r.window_known && dw_window_next(&window) < dw_window_mss(&window));
    r.estimated = sample.estimated;
    r.unread_is = sample.unread_is;
    r.peer_is_done = window.rcv_nxt != sample.data_end;
    r.wanted = dw_reader_is_told(&window, r.unread_bytes, sample.rcvlowat, r.peer_is_done) ||
               sample.closed;

    std::uint64_t silent_since_ns = 0;
    if (!sample.unread.empty()) {
        const std::uint64_t oldest_ns = sample.unread.front().at_ns;
        silent_since_ns = std::max(oldest_ns, sample.last_read_ns);
        r.age_ns = sample.taken_ns - std::min(oldest_ns, sample.taken_ns);
        r.silent_ns = silence(sample, silent_since_ns);
        r.age_is_lower_bound = sample.age_is_lower_bound;
    }
    if (sample.last_read_ns != 0) {
        r.since_read_ns = sample.taken_ns - std::min(sample.last_read_ns, sample.taken_ns);
    }

    const auto rates = rates_of_silence(sample, silent_since_ns);
    const Headroom left =
        headroom(sample, {rates ? rates->long_bytes_per_s : 0, history.memory_cost()});
    r.to_zero_bytes = left.to_zero();
    r.ends_with_probe = left.ends_with_probe;
    r.read_spacing_ns = sample.habit_gap_ns;
    r.usual_silence_ns = sample.habit_gap_ns * kHabitMargin / 2;
    r.usual_depth_bytes = sample.habit_depth_bytes;
    r.reads = r.since_read_ns &&
              *r.since_read_ns <= std::max(2 * sample.habit_gap_ns, 2 * kShortestTroughNs);
    if (!r.peer_is_done) {
        r.if_silent = rates ? forecast_if_silent(*rates, r.to_zero_bytes) : std::nullopt;
        r.if_reading = forecast_if_reading(history, r.to_zero_bytes, sample.habit_gap_ns);
    }

    const std::uint64_t oldest_in_window =
        sample.taken_ns - std::min(sample.taken_ns, kRateWindowNs);
    const auto from_arrivals =
        sample.unread.empty()
            ? std::nullopt
            : arrival_rate(sample, std::max(oldest_in_window, sample.unread.front().at_ns));
    r.arrival_bytes_per_s = history.arrival_rate(kRateWindowNs).value_or(from_arrivals.value_or(0));
    r.drain_bytes_per_s = history.drain_rate(kRateWindowNs).value_or(0);
    return r;
}

}  // namespace drainwatch
