#pragma once

#include "drainwatch/sample.hpp"

#include <array>
#include <compare>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace drainwatch {

/// A peer: an address and the network namespace that it is seen from. Ports do not count, for a
/// peer that connects anew comes from another one; an IPv4 peer of an IPv6 socket is the same peer.
struct Peer {
    std::uint32_t netns = 0;
    int family = 0;
    std::array<std::uint8_t, 16> address{};

    // NOLINTNEXTLINE(modernize-use-nullptr): of the comparison with 0 that the compiler makes
    auto operator<=>(const Peer&) const = default;
};

[[nodiscard]] Peer peer_of(const SocketSample& sample);
/// "10.1.2.3", "2001:db8::1"
[[nodiscard]] std::string to_string(const Peer& peer);

/// What came of a peer's links, since the start.
struct PeerTotals {
    std::uint64_t connections = 0;
    std::uint64_t resets = 0;
    std::uint64_t replacements = 0;
    std::uint64_t episodes = 0;
    std::uint64_t longest_stall_ns = 0;
};

/// Links of this peer break again and again.
struct Flapping {
    enum class State { raised, goes_on, over };
    State state{};
    Peer peer;
    std::uint64_t breaks = 0;    ///< resets and replacements since it began
    std::uint64_t since_ns = 0;  ///< the first of them
    std::uint64_t at_ns = 0;
};

/// Counts what becomes of the links of each peer. kFlapsFrom breaks within kFlapWindowNs are
/// flapping, until nothing breaks for as long. Pure: is told the time.
class Peers {
public:
    static constexpr std::size_t kFlapsFrom = 3;
    static constexpr std::uint64_t kFlapWindowNs = 300'000'000'000;
    static constexpr std::uint64_t kTellAgainNs = 10'000'000'000;
    /// Beyond, those peers whose last sign is longest ago make way for new ones, so many at a time;
    /// what they had is counted in others().
    static constexpr std::size_t kMostPeers = 4096;
    static constexpr std::size_t kMakeWay = 256;

    void connected(const Peer& peer, std::uint64_t now_ns);
    void episode_begun(const Peer& peer, std::uint64_t now_ns);
    void episode_over(const Peer& peer, std::uint64_t duration_ns, std::uint64_t now_ns);

    /// A link was reset, or was replaced by a new one. Not every reset `breaks` a link. What goes
    /// on is told of again when there were twice as many, or kTellAgainNs later.
    [[nodiscard]] std::optional<Flapping> reset(const Peer& peer, std::uint64_t now_ns,
                                                bool breaks = true);
    [[nodiscard]] std::optional<Flapping> replaced(const Peer& peer, std::uint64_t now_ns);

    /// Those that have kept quiet for long enough.
    [[nodiscard]] std::vector<Flapping> quiet(std::uint64_t now_ns);

    /// Those of which there is more to tell than connections, most breaks first.
    [[nodiscard]] std::vector<std::pair<Peer, PeerTotals>> table() const;
    /// Of those that made way.
    [[nodiscard]] const PeerTotals& others() const { return others_; }

private:
    struct Known {
        PeerTotals totals;
        std::uint64_t seen_ns = 0;
        std::deque<std::uint64_t> recent_breaks_ns;  ///< at most kFlapsFrom
        bool flaps = false;
        std::uint64_t breaks = 0;
        std::uint64_t breaks_told = 0;
        std::uint64_t told_ns = 0;
        std::uint64_t since_ns = 0;
    };

    Known& know(const Peer& peer, std::uint64_t now_ns);
    void make_way();
    [[nodiscard]] std::optional<Flapping> broke(const Peer& peer, Known& known,
                                                std::uint64_t now_ns);

    std::map<Peer, Known> peers_;
    std::set<Peer> flapping_;  ///< of those
    PeerTotals others_;
};

}  // namespace drainwatch
