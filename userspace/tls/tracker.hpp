#pragma once

#include "drainwatch/stream_bytes.hpp"
#include "tls/connection.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace drainwatch::tls {

/// A connection of which no more of the handshake is wanted.
struct Settled {
    Cookie cookie{};
    std::uint64_t place = 0;       ///< as the source has marked it
    std::uint8_t alert_bytes = 0;  ///< segments of this length may be alerts; 0: none can be told
};

/// Follows the handshakes of all watched connections. Knows no kernel, no clock, no output; what
/// it keeps is bounded, whatever comes.
class Tracker {
public:
    /// More handshakes than this at once: the oldest is given up.
    static constexpr std::size_t kMostConnections = 4096;
    /// The same for what is kept of payload, of all of them.
    static constexpr std::size_t kMostBytes = 16 << 20;
    /// Further peers are not in the summary.
    static constexpr std::size_t kMostPeers = 1024;

    /// `minimum`: what is agreed on below that is a mismatch.
    Tracker(Version minimum, std::chrono::nanoseconds warn_after);

    [[nodiscard]] std::vector<Fact> take(const StreamBytes& segment);

    /// TLS begins now on this connection, whatever was said on it before.
    void begin(Cookie cookie);

    /// The handshake was done for the kernel: its word on how that went, 0 or an errno.
    [[nodiscard]] std::vector<Fact> complete(Cookie cookie, int error, std::uint64_t at_ns);

    /// The connection was closed by one side, or reset.
    [[nodiscard]] std::vector<Fact> end(Cookie cookie, Result result, std::uint64_t at_ns);

    /// What comes from now on is another's view: no handshake under way can be followed to its end.
    void source_changed();

    /// What belongs to a handshake lies in the receive queue of this socket: what it is.
    [[nodiscard]] std::optional<std::string> unread(const SocketSample& sample) const;

    /// Has that lain there for too long? Told once for each connection.
    [[nodiscard]] std::optional<Fact> look(const SocketSample& sample);

    /// Of which connections no more is wanted, since the last call.
    [[nodiscard]] std::vector<Settled> take_settled();

    /// An address: its family and its bytes.
    using Peer = std::pair<int, std::array<std::uint8_t, 16>>;
    /// The versions that were agreed on, by peer.
    [[nodiscard]] const std::map<Peer, std::set<Version>>& versions() const { return versions_; }

    /// What is kept of payload.
    [[nodiscard]] std::size_t kept_bytes() const { return kept_bytes_; }

    /// Handshakes that were given up, to stay within bounds or because they were lost sight of.
    [[nodiscard]] std::uint64_t given_up() const { return given_up_; }

private:
    struct Tracked {
        SocketSample socket;
        std::uint64_t place = 0;
        Connection connection;
        std::size_t kept_bytes = 0;
        bool stall_told = false;
    };
    using Place = std::list<Tracked>::iterator;

    [[nodiscard]] Place place_of(const StreamBytes& segment);
    [[nodiscard]] std::vector<Fact> take_handshake(const StreamBytes& segment);
    [[nodiscard]] std::vector<Fact> take_alert(const StreamBytes& segment);
    [[nodiscard]] std::vector<Fact> take_glimpse(const StreamBytes& segment);
    void note_version(const SocketSample& socket, Version version);
    void leave_alone(Cookie cookie);
    [[nodiscard]] std::vector<Fact> tell(const SocketSample& socket, std::uint64_t at_ns,
                                         std::vector<Connection::News> news);
    void settle(Place place);
    void forget(Place place);
    void keep_within_bounds();

    Version minimum_;
    std::chrono::nanoseconds warn_after_;
    std::list<Tracked> tracked_;  ///< oldest first
    std::unordered_map<Cookie, Place> places_;
    std::size_t kept_bytes_ = 0;
    std::uint64_t given_up_ = 0;
    std::vector<Settled> settled_;
    /// Lately settled: what still comes of them is left alone.
    std::unordered_set<Cookie> lately_;
    std::deque<Cookie> lately_in_order_;
    std::map<Peer, std::set<Version>> versions_;
};

}  // namespace drainwatch::tls
