#pragma once

#include "drainwatch/sample.hpp"

#include <cstdint>
#include <optional>

/// How far a socket is from a zero window, and how soon it will be there.
namespace drainwatch {

/// Payload bytes that may still arrive before a zero window is announced, if nobody reads.
///
/// Path A: the kernel announces zero when it would select zero (free window below 1/16 of the
/// buffer or below one mss) and the peer has used up what was announced before. Each payload
/// byte costs `memory_per_byte` bytes of buffer. Path B: the memory limit is reached before, and
/// the kernel refuses data (and on 6.6+ announces zero).
/// Source: __tcp_select_window(), tcp_select_window(), tcp_try_rmem_schedule(), Linux 6.18.
struct Headroom {
    double window_bytes = 0;  ///< path A
    double memory_bytes = 0;  ///< path B

    [[nodiscard]] double to_zero() const
    {
        return window_bytes < memory_bytes ? window_bytes : memory_bytes;
    }
};

/// `memory_per_byte`: truesize charged for a byte of payload, at least 1.
[[nodiscard]] Headroom headroom(const dw_window& window, double memory_per_byte);

/// Truesize that a queued payload byte costs on this socket, from what is queued now.
[[nodiscard]] double memory_per_byte(const SocketSample& sample);

/// Arrival rate in bytes per second between `since_ns` and the time of the sample, from the
/// arrivals of unread data. Nothing if no data arrived since.
[[nodiscard]] std::optional<double> arrival_rate(const SocketSample& sample,
                                                 std::uint64_t since_ns);

}  // namespace drainwatch
