#pragma once

#include "drainwatch/sample.hpp"
#include "state/history.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

namespace drainwatch {

/// What a zero window forecast says. Seconds from the sample.
struct Forecast {
    double short_s = 0;  ///< by the rate of the last moments
    double long_s = 0;   ///< by the rate since the trouble began
};

/// A socket at one time, in the terms in which it is judged and reported. Detectors read this
/// and nothing else.
struct Reading {
    std::uint64_t at_ns = 0;
    std::uint32_t queue_bytes = 0;   ///< Recv-Q as ss shows it (an unread FIN counts 1)
    std::uint32_t unread_bytes = 0;  ///< payload only
    std::uint64_t age_ns = 0;        ///< of the oldest unread byte
    bool age_is_lower_bound = false;
    bool estimated = false;                      ///< from a source that polls
    std::uint64_t silent_ns = 0;                 ///< unread data waits and no read made progress
    std::optional<std::uint64_t> since_read_ns;  ///< nothing if it never read
    bool window_known = true;                    ///< false: the next three are not, no forecast
    std::uint32_t headroom_bytes = 0;            ///< window that the next ACK will announce
    std::uint32_t rcvbuf_bytes = 0;
    std::uint32_t rmem_bytes = 0;
    std::string unread_is;     ///< what the oldest unread bytes are, where that is known
    double to_zero_bytes = 0;  ///< payload that may still come before a zero window
    double arrival_bytes_per_s = 0;
    double drain_bytes_per_s = 0;
    bool ends_with_probe = false;         ///< zero will come with a window probe, see Headroom
    std::optional<Forecast> if_silent;    ///< if nobody reads from now on
    std::optional<Forecast> if_reading;   ///< if it goes on reading as it does
    std::uint64_t usual_silence_ns = 0;   ///< longest silence that is normal for this reader
    std::uint32_t usual_depth_bytes = 0;  ///< deepest queue that is normal for it
    std::uint64_t read_spacing_ns = 0;    ///< longest usual distance of its reads
    bool reads = false;                   ///< read progress within its usual spacing
    bool peer_is_done = false;            ///< its FIN has come: no more data will
    bool closed = false;                  ///< a zero window is announced
    bool closed_in_effect = false;        ///< less than one segment may still be sent
    bool wanted = true;  ///< false: less than SO_RCVLOWAT, the reader is not told yet

    /// The oldest byte has seen two usual reads go by, and is older than what a scheduler does to
    /// it: the queue does not just pass through.
    [[nodiscard]] bool piles_up() const
    {
        constexpr std::uint64_t kYoungestNs = 20'000'000;
        return age_ns >= std::max(kYoungestNs, 2 * read_spacing_ns);
    }

    /// Share of the way from an empty queue to a zero window, 0 to 1.
    [[nodiscard]] double fill() const
    {
        const double whole = unread_bytes + to_zero_bytes;
        return whole > 0 ? unread_bytes / whole : 1.0;
    }
};

/// `history` includes the sample.
[[nodiscard]] Reading make_reading(const SocketSample& sample, const History& history);

}  // namespace drainwatch
