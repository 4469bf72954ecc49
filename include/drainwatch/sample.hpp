#pragma once

#include "drainwatch/tcp_window.h"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

/// What a source says about one socket at one time. Every source fills
/// the same structure, so that state and detectors need not know where it came from.
/// Times are CLOCK_MONOTONIC in nanoseconds, 0 means never.
namespace drainwatch {

/// Identity of a socket for as long as the host runs (SO_COOKIE). Never recycled.
enum class Cookie : std::uint64_t {};

/// An address and a port. IPv4 is in the first four bytes.
struct Endpoint {
    int family = 0;  ///< AF_INET or AF_INET6
    std::array<std::uint8_t, 16> address{};
    std::uint16_t port = 0;

    bool operator==(const Endpoint&) const = default;
};

/// A v4-mapped IPv6 address as the IPv4 that it is for the peer, and for the kernel's tables; any
/// other as it is.
[[nodiscard]] Endpoint on_wire(const Endpoint& endpoint);

/// "127.0.0.1:8765", "[::1]:8765"; a v4-mapped IPv6 address is shown as IPv4, as the peer sees it.
[[nodiscard]] std::string to_string(const Endpoint& endpoint);

/// Bytes up to end_seq arrived at at_ns (the first of them did, where arrivals were merged).
struct Arrival {
    std::uint32_t end_seq = 0;
    std::uint64_t at_ns = 0;
};

struct SocketSample {
    Cookie cookie{};
    Endpoint local;
    Endpoint remote;
    std::uint32_t netns = 0;              ///< inode number of the network namespace
    std::uint64_t watched_since_ns = 0;   ///< what was before that was not seen
    std::uint64_t taken_ns = 0;           ///< when this was read
    dw_window window{};                   ///< the kernel's own counters
    std::uint32_t data_end = 0;           ///< rcv_nxt without a received FIN
    std::uint32_t rcvlowat = 1;           ///< SO_RCVLOWAT
    std::vector<Arrival> unread;          ///< oldest first; empty when all is read
    bool age_is_lower_bound = false;      ///< the oldest byte was there before the watch began
    bool is_new = false;                  ///< the connection began between the look that found it
                                          ///< and the one before
    bool estimated = false;               ///< polled: times are right to the distance of two looks
    std::uint64_t last_read_ns = 0;       ///< last time that copied_seq moved
    std::uint64_t habit_gap_ns = 0;       ///< longest silence that this reader ended in good order
    std::uint32_t habit_depth_bytes = 0;  ///< most unread bytes that it has coped with
    bool closed = false;                  ///< the last announced window was zero
    bool turn_is_estimated = false;       ///< nobody saw how the window closed or opened last: the
                                          ///< time is that of a segment before
    std::uint64_t zero_ns = 0;            ///< when that was announced
    std::uint64_t reopened_ns = 0;        ///< when an open window was announced after a zero one
    std::uint32_t zero_count = 0;         ///< times that the window went from open to zero
    std::uint32_t reader_tgid = 0;        ///< who read last; 0 if nobody did
    std::uint32_t reader_tid = 0;         ///< and its thread
    std::string unread_is;      ///< what the oldest unread bytes are, if that is known: "a TLS 1.2
                                ///< ClientHello"
    bool said_nothing = false;  ///< its peer has connected to us, and never sent a byte
    std::uint32_t owner_tgid = 0;  ///< whose listener or connect() it came from; 0 if not known

    /// Payload bytes not read.
    [[nodiscard]] std::uint32_t unread_bytes() const
    {
        return dw_seq_before(data_end, window.copied_seq) ? 0 : data_end - window.copied_seq;
    }
};

/// Something that happened to a socket, with its exact time.
struct SocketNotice {
    enum class Kind {
        filling,
        zero_window,
        reopened,
        reset_received,
        reset_sent,
        broken,  ///< the kernel gave the connection up, without a reset
        ended,
        closed,           ///< by either side, before its TLS handshake was past
        connected,        ///< a connection is established
        alert_sent,       ///< by the kernel's own TLS
        alert_received,   ///< the same
        handshake_begun,  ///< TLS begins here, whatever the streams held before
        handshake_over,   ///< by the word of whoever does it for the kernel
    };
    Kind kind{};
    Cookie cookie{};
    std::uint64_t at_ns = 0;
    std::uint32_t value = 0;  ///< zero_window, reopened: the how many-th of this socket; alerts:
                              ///< level << 8 | description; handshake_over: 0, or the errno of
                              ///< why not; broken: the errno; else unread bytes
    std::uint32_t pid = 0;    ///< who did it; 0 if not known
};

/// Something that happened to a watched process.
struct ProcessNotice {
    enum class Kind { appeared, forked, renamed, ended };
    Kind kind{};
    std::uint32_t pid = 0;
    std::uint32_t parent = 0;  ///< forked: whose child
    bool target = true;        ///< false: from now on it is not watched any more
    std::string comm;
};

}  // namespace drainwatch
