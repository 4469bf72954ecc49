#pragma once

#include "drainwatch/sample.hpp"

#include <cstdint>
#include <optional>

/// How far a socket is from a zero window, and how soon it will be there.
namespace drainwatch {

/// Payload bytes that may still arrive before a zero window is announced, if nobody reads.
///
/// Path A: the kernel announces zero when it would select zero (free window below 1/16 of the
/// buffer or below one mss) and the peer has used up what was announced before. Path B: the memory
/// limit is reached before, and the kernel refuses data (and on 6.6+ announces zero).
///
/// Both depend on the memory that payload costs. Small segments cost many times their payload,
/// but only until the kernel runs short: then it collapses them (tcp_prune_queue(),
/// tcp_collapse()) to at most kCollapsedCost bytes of memory a byte, and goes on. So memory above
/// that is counted as free.
/// Source: __tcp_select_window(), tcp_select_window(), tcp_try_rmem_schedule(), Linux 6.18.
struct Headroom {
    double window_bytes = 0;  ///< path A; infinite where the window is not known
    double memory_bytes = 0;  ///< path B; likewise

    [[nodiscard]] double to_zero() const
    {
        return window_bytes < memory_bytes ? window_bytes : memory_bytes;
    }
};

/// Truesize of a byte of payload when the kernel refuses more: 1.34 for segments of 20 bytes in a
/// locked buffer of 40,000, 1.03 for those of 150 bytes in one of 196,608; Linux 6.18, loopback.
constexpr double kCollapsedCost = 1.35;

[[nodiscard]] Headroom headroom(const SocketSample& sample);

/// Arrival rate in bytes per second between `since_ns` and the time of the sample, from the
/// arrivals of unread data. Nothing if no data arrived since.
[[nodiscard]] std::optional<double> arrival_rate(const SocketSample& sample,
                                                 std::uint64_t since_ns);

}  // namespace drainwatch
