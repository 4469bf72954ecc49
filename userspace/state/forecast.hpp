#pragma once

#include "drainwatch/sample.hpp"

#include <cstdint>
#include <optional>

/// How far a socket is from a zero window, and how soon it will be there.
namespace drainwatch {

/// Payload bytes that may still arrive before a zero window is announced, if nobody reads.
///
/// Path A: the peer has used up the window. Its right edge moves on as long as the kernel selects
/// more than what is left of it; below 1/16 of the buffer, or one mss, it selects zero. What is
/// left of a window that is not to grow any more is still announced, with each ACK, rounded up to
/// the window scale: an ACK for fewer bytes than the scale's unit takes nothing away from it. While
/// the kernel does not want to announce more, ACKs are delayed by 40 ms, so how many bytes an ACK
/// is for follows from the inflow. (This is why a slow link to an autotuned buffer never sees
/// zero.)
///
/// Path B: the memory limit is reached before, and the kernel refuses data (and on 6.6+ announces
/// zero).
///
/// Small segments cost many times their payload, but where the buffer is locked, only until it is
/// full: then the kernel collapses them (tcp_prune_queue(), tcp_collapse()) to little
/// more than their payload, and goes on. One that is not locked grows with its
/// contents up to tcp_rmem[2] first (tcp_clamp_window()).
/// Source: __tcp_select_window(), tcp_select_window(), __tcp_ack_snd_check(),
/// tcp_try_rmem_schedule(), Linux 6.18.
struct Headroom {
    double window_bytes = 0;  ///< path A; infinite where the window is not known, or never closes
    double memory_bytes = 0;  ///< path B; infinite where the window is not known
    /// The peer's last segment will not fit into what is left: it sends the rest as a window
    /// probe, kProbeDelayS later.
    bool ends_with_probe = false;

    [[nodiscard]] double to_zero() const
    {
        return window_bytes < memory_bytes ? window_bytes : memory_bytes;
    }
};

/// A sender's first window probe comes after its retransmission timeout: what it has measured of
/// the round trip, which is our delay of ACKs, 40 ms, and 200 ms at least for how that varies
/// (tcp_probe0_base(), tcp_set_rto(), tcp_rto_min()).
constexpr double kProbeDelayS = 0.24;

/// What comes in.
struct Inflow {
    double bytes_per_s = 0;             ///< 0 where it is not known
    std::optional<double> memory_cost;  ///< truesize of a further byte, where it is known
};

[[nodiscard]] Headroom headroom(const SocketSample& sample, const Inflow& inflow = {});

/// Arrival rate in bytes per second between `since_ns` and the time of the sample, from the
/// arrivals of unread data. Nothing if no data arrived since.
[[nodiscard]] std::optional<double> arrival_rate(const SocketSample& sample,
                                                 std::uint64_t since_ns);

}  // namespace drainwatch
