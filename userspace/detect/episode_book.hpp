#pragma once

#include "detect/monitor.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>

namespace drainwatch {

/// An episode, for what refers to it from outside.
struct KnownEpisode {
    std::uint64_t number = 0;
    SocketSample socket;                            ///< as it was when the episode began
    std::optional<std::uint64_t> first_warning_ns;  ///< CLOCK_MONOTONIC; nothing: zero came first
    std::uint64_t began_ns = 0;                     ///< CLOCK_MONOTONIC
    std::uint64_t over_ns = 0;                      ///< 0: it goes on
    std::uint64_t broke_ns = 0;                     ///< its link was reset or replaced; 0: not yet
};

/// The episodes of the last minutes, kMost of them. Pure.
class EpisodeBook {
public:
    static constexpr std::size_t kMost = 256;

    /// True if an episode begins with it.
    bool note(const Alert& alert);

    /// Of those of sockets with such a peer, that began before `at_ns` and were not over more than
    /// kStillMeant before: one whose link broke within kJustBroke of it, else one that went on if
    /// there is one; of several the latest.
    [[nodiscard]] const KnownEpisode* find(const std::function<bool(const Endpoint&)>& is_peer,
                                           std::uint64_t at_ns) const;

    /// What is logged about a link may come so long after it has ended.
    static constexpr std::uint64_t kStillMeantNs = 60'000'000'000;
    /// What is logged as a link breaks comes within this time, before or after.
    static constexpr std::uint64_t kJustBrokeNs = 2'000'000'000;

private:
    KnownEpisode* of(std::uint64_t number);

    std::deque<KnownEpisode> episodes_;  ///< in the order in which they began
    std::uint64_t latest_ = 0;           ///< their numbers only grow
};

}  // namespace drainwatch
