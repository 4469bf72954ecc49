#include "state/forecast.hpp"

#include "drainwatch/units.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace drainwatch {
namespace {

/// While the kernel does not want a larger window, it waits so long with an ACK (TCP_DELACK_MIN).
constexpr double kAckDelayS = 0.040;

/// Segments that a peer sends before it has an ACK: RFC 6928, TCP_INIT_CWND.
constexpr double kInitialWindow = 10;

/// Truesize of a byte after the kernel has collapsed the queue: pages of their own, filled
/// (tcp_collapse()). Measured 1.16 to 1.18 for segments of 40 to 180 bytes, and 1.34 for such of 20
/// and less; Linux 6.18, loopback.
constexpr double kCollapsedCost = 1.17;
constexpr double kTinyCollapsedCost = 1.35;
constexpr std::uint32_t kTinyBytes = 20;

/// The simulation goes on by this part of what is left of the window...
constexpr double kStep = 1.0 / 16;
/// ...and gives up after so many steps.
constexpr int kMostSteps = 400;

/// What the peer sends at a time: the last that came, or what the kernel takes it to be.
std::uint32_t message_bytes(const SocketSample& sample)
{
    const auto& unread = sample.unread;
    return !sample.estimated && unread.size() > 1
               ? unread.back().end_seq - std::prev(unread.end(), 2)->end_seq
               : sample.window.rcv_mss;
}

double collapsed_cost(const SocketSample& sample)
{
    return message_bytes(sample) <= kTinyBytes ? kTinyCollapsedCost : kCollapsedCost;
}

/// Truesize that the queue would have if it were collapsed.
double collapsed_memory(const SocketSample& sample)
{
    return std::min<double>(std::max(sample.window.rmem, 0),
                            sample.unread_bytes() * collapsed_cost(sample));
}

/// Of a byte of payload, whatever it holds now.
double average_cost(const SocketSample& sample)
{
    const double unread = sample.unread_bytes();
    return unread < 1 ? 1.0 : std::max(1.0, std::max(sample.window.rmem, 0) / unread);
}

double segment_bytes(const dw_window& window)
{
    return std::max<double>(window.rcv_mss, 1);
}

/// Bytes that one delayed ACK is for.
double bytes_of_an_ack(double segment, double bytes_per_s)
{
    return segment * (1 + std::floor(kAckDelayS * bytes_per_s / segment));
}

/// The part of what arrives that the window loses, if it is never to grow: the rest is given back
/// as the window is rounded up.
double lost_share(const dw_window& window, double bytes_per_s)
{
    if (bytes_per_s <= 0 || window.rcv_wscale == 0) {
        return 1;
    }
    const double unit = 1U << (window.rcv_wscale & 15);
    const double acked = bytes_of_an_ack(segment_bytes(window), bytes_per_s);
    return std::floor(acked / unit) * unit / acked;
}

/// A receive buffer that nobody reads, as it fills.
class Filling {
public:
    Filling(const SocketSample& sample, const Inflow& inflow)
        : window_(sample.window),
          unread_(sample.unread_bytes()),
          memory_(std::max(sample.window.rmem, 0)),
          cost_(std::max(1.0, inflow.memory_cost.value_or(average_cost(sample)))),
          collapsed_cost_(collapsed_cost(sample)),
          lost_share_(lost_share(sample.window, inflow.bytes_per_s)),
          left_(dw_window_next(&sample.window))
    {}

    /// Bytes until the window is closed.
    double run()
    {
        for (int i = 0; i < kMostSteps; i++) {
            if (left_ < segment_bytes(window_) && left_ >= dw_window_selected(&window_)) {
                return came_ + left_;
            }
            if (lost_share_ <= 0 && left_ > dw_window_selected(&window_)) {
                break;  // never
            }
            if (!step(std::max(left_ * kStep, segment_bytes(window_)))) {
                return came_ + left_;
            }
        }
        return std::numeric_limits<double>::infinity();
    }

private:
    /// False where memory is at its end: what the window says does not matter any more.
    bool step(double bytes)
    {
        came_ += bytes;
        memory_ += bytes * cost_;
        if (memory_ > window_.rcvbuf && !make_room()) {
            return false;
        }
        window_.rmem = static_cast<__s32>(std::min<double>(memory_, window_.rcvbuf));
        const double selected = dw_window_selected(&window_);
        const bool may_shrink = (window_.flags & DW_SHRINK_WINDOW) && window_.rcv_wscale;
        left_ = may_shrink ? selected : std::max(selected, left_ - bytes * lost_share_);
        left_ = std::max(left_, 0.0);
        window_.rcv_wnd = static_cast<__u32>(left_);  // announced: an unscaled window goes by it
        return true;
    }

    bool make_room()
    {
        const double limit = static_cast<double>(dw_memory_limit(&window_));
        window_.rcvbuf = static_cast<__s32>(std::min(memory_, limit));
        if (memory_ > limit) {
            memory_ = (unread_ + came_) * collapsed_cost_;
        }
        return memory_ <= limit;
    }

    dw_window window_;
    double unread_;
    double memory_;
    double cost_;
    double collapsed_cost_;
    double lost_share_;
    double left_;  ///< of the window, for the peer
    double came_ = 0;
};

/// Of what came after the first arrival, where nobody knows at what rate that one came.
std::optional<double> rate_after_first(const SocketSample& sample)
{
    const auto& unread = sample.unread;
    if (unread.size() < 2) {
        return std::nullopt;
    }
    const std::uint64_t began_ns = unread.front().at_ns;
    const std::uint64_t span = unread.back().at_ns - began_ns;
    const std::uint64_t until_now = sample.taken_ns - began_ns;
    const std::uint64_t interval = span / (unread.size() - 1);
    const bool goes_on = span > 0 && until_now - span <= 2 * interval;
    const std::uint32_t bytes = unread.back().end_seq - unread.front().end_seq;
    return static_cast<double>(bytes) * kNsPerS / static_cast<double>(goes_on ? span : until_now);
}

/// A scaled window is seldom used up by whole messages. One that is not scaled is announced in
/// whole rcv_mss, and what is left of it now is used up by messages as they come; but not those of
/// a peer that has a whole congestion window under way while an ACK is delayed, for it puts what
/// waits together.
bool ends_with_probe(const SocketSample& sample, double bytes_per_s)
{
    const std::uint32_t bytes = message_bytes(sample);
    if (bytes <= 1) {
        return false;
    }
    if (bytes_per_s * kAckDelayS >= kInitialWindow * bytes) {
        return true;
    }
    return sample.window.rcv_wscale != 0 || dw_window_current(&sample.window) % bytes != 0;
}

}  // namespace

Headroom headroom(const SocketSample& sample, const Inflow& inflow)
{
    if (sample.window.flags & DW_WINDOW_UNKNOWN) {
        constexpr double kFar = std::numeric_limits<double>::infinity();
        return {kFar, kFar, false};
    }
    const double left =
        static_cast<double>(dw_memory_limit(&sample.window)) - collapsed_memory(sample);
    const double cost = std::min(average_cost(sample), collapsed_cost(sample));
    return {Filling(sample, inflow).run(), std::max(0.0, left / cost),
            ends_with_probe(sample, inflow.bytes_per_s)};
}

std::optional<double> arrival_rate(const SocketSample& sample, std::uint64_t since_ns)
{
    const auto& unread = sample.unread;
    if (sample.age_is_lower_bound && !unread.empty() && since_ns <= unread.front().at_ns) {
        return rate_after_first(sample);  // the first was there before the watch
    }
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
            return static_cast<double>(bytes) * kNsPerS / static_cast<double>(span);
        }
    }
    const std::uint32_t bytes = last.end_seq - begin;
    return static_cast<double>(bytes) * kNsPerS / static_cast<double>(sample.taken_ns - since_ns);
}

}  // namespace drainwatch
