#include "state/forecast.hpp"

#include <algorithm>
#include <limits>

namespace drainwatch {
namespace {

constexpr double kNsPerSecond = 1e9;

/// Buffer space that a window of `win` bytes needs: the inverse of dw_win_from_space().
double space_from_win(const dw_window& window, double win)
{
    if (window.flags & DW_SCALING_RATIO) {
        return window.scaling_ratio ? win * 256.0 / window.scaling_ratio : win;
    }
    if (window.adv_win_scale <= 0) {
        return win * static_cast<double>(1ULL << -window.adv_win_scale);
    }
    const double share = 1.0 - 1.0 / static_cast<double>(1ULL << window.adv_win_scale);
    return share > 0 ? win / share : win;
}

/// Truesize that the queue would have if it were collapsed.
double memory_in_use(const SocketSample& sample)
{
    return std::min<double>(std::max(sample.window.rmem, 0),
                            sample.unread_bytes() * kCollapsedCost);
}

double cost_of_a_byte(const SocketSample& sample)
{
    const double unread = sample.unread_bytes();
    return unread < 1 ? 1.0 : std::max(1.0, memory_in_use(sample) / unread);
}

double path_a(const dw_window& window, double in_use, double cost)
{
    const double space = static_cast<double>(window.rcvbuf) - window.backlog - in_use;
    const auto floor = static_cast<double>(dw_window_floor(&window));
    const double until_floor = std::max(0.0, (space - space_from_win(window, floor)) / cost);
    const bool may_shrink = (window.flags & DW_SHRINK_WINDOW) && window.rcv_wscale;
    if (may_shrink) {
        return until_floor;
    }
    // The right edge only moves forward: to rcv_nxt + q + selected(q) after q more bytes. That
    // is greatest at the start, where the free space meets rcv_ssthresh, or at the floor.
    double edge = std::max<double>(dw_window_current(&window), dw_window_selected(&window));
    if (until_floor > 0) {
        const double threshold = window.rcv_ssthresh;
        const double kink = (space - space_from_win(window, threshold)) / cost;
        if (kink > 0 && kink < until_floor) {
            edge = std::max(edge, kink + threshold);
        }
        edge = std::max(edge, until_floor + std::min(floor, threshold));
    }
    return edge;
}

}  // namespace

Headroom headroom(const SocketSample& sample)
{
    if (sample.window.flags & DW_WINDOW_UNKNOWN) {
        constexpr double kFar = std::numeric_limits<double>::infinity();
        return {kFar, kFar};
    }
    const double in_use = memory_in_use(sample);
    const double cost = cost_of_a_byte(sample);
    const double left = static_cast<double>(dw_memory_limit(&sample.window)) - in_use;
    return {path_a(sample.window, in_use, cost), std::max(0.0, left / cost)};
}

std::optional<double> arrival_rate(const SocketSample& sample, std::uint64_t since_ns)
{
    const auto& unread = sample.unread;
    const auto first = std::find_if(unread.begin(), unread.end(),
                                    [&](const Arrival& a) { return a.at_ns >= since_ns; });
    if (first == unread.end() || sample.taken_ns <= since_ns) {
        return std::nullopt;
    }
    const std::uint32_t begin =
        first == unread.begin() ? sample.window.copied_seq : std::prev(first)->end_seq;
    const Arrival& last = unread.back();
    const auto entries = static_cast<std::uint64_t>(std::distance(first, unread.end()));
    const std::uint64_t since_last = sample.taken_ns - std::min(last.at_ns, sample.taken_ns);
    if ((first->at_ns == since_ns || first != unread.begin()) && entries > 1) {
        // From an arrival on, count up to the last one, not into it, unless the flow has paused
        // since. Entries may stand for many arrivals: only whole ones have a rate.
        const std::uint64_t span = last.at_ns - first->at_ns;
        if (span > 0 && since_last <= 2 * span / (entries - 1)) {
            const std::uint32_t bytes = std::prev(unread.end(), 2)->end_seq - begin;
            return bytes * kNsPerSecond / static_cast<double>(span);
        }
    }
    const std::uint32_t bytes = last.end_seq - begin;
    return bytes * kNsPerSecond / static_cast<double>(sample.taken_ns - since_ns);
}

}  // namespace drainwatch
