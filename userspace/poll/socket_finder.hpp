#pragma once

#include "drainwatch/source.hpp"
#include "host/pace.hpp"
#include "poll/left_out.hpp"
#include "poll/polled_targets.hpp"
#include "poll/watched_sockets.hpp"

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace drainwatch {

/// Finds the sockets of targets that are not watched yet, and when to look for them: when
/// connections have been made, and now and then.
class SocketFinder {
public:
    SocketFinder(const SourceOptions& options, PolledTargets& targets, WatchedSockets& watched);

    /// Looks for them now; at those that were strangers' as well if `recheck`.
    void find(bool recheck);
    [[nodiscard]] bool has_looked() const { return has_looked_; }
    /// Looks for them if that is due.
    void find_new();

    /// Connections that were found as they were made.
    [[nodiscard]] std::vector<Notice> take_notices();
    /// Since the last call: who holds what may be known anew.
    [[nodiscard]] bool take_holders_changed();
    [[nodiscard]] std::uint64_t table_full() const { return table_full_; }
    [[nodiscard]] std::uint64_t failed() const { return failed_; }

private:
    /// What one look through a namespace has found that is not watched yet.
    struct Unwatched {
        std::vector<SocketState> listeners;
        std::vector<SocketState> connections;
        bool has_unknown = false;        ///< connections whose owner is still to be found
        std::uint64_t all_known_ns = 0;  ///< what was there then is known; 0: it need not be
    };

    /// Sockets that no target holds, with their inodes, 0 before they are accepted: kernels
    /// before 4.2 make the cookie of an address that the next socket may have again, and /proc has
    /// but ports to make it of.
    using Strangers = std::unordered_map<Cookie, std::uint32_t>;

    void look(bool recheck);
    void count_connections();
    void look_failed();
    [[nodiscard]] Unwatched list(Namespace& in, bool recheck, Strangers& strangers);
    [[nodiscard]] bool make_room();
    void watch(std::uint32_t netns, Namespace& in, const Unwatched& found, Strangers& strangers);
    [[nodiscard]] std::optional<std::uint32_t> owner_of(const SocketState& connection,
                                                        const Unwatched& found) const;

    SourceOptions options_;
    PolledTargets& targets_;
    WatchedSockets& watched_;
    Strangers strangers_;  ///< as of the last look
    LeftOut left_out_;
    std::optional<std::vector<Cookie>> idle_;  ///< in the look that is under way, if needed
    std::unordered_set<Cookie> filled_;        ///< watched ones in which it has seen unread data
    std::vector<Notice> notices_;
    bool holders_changed_ = false;

    Pace counting_;  ///< connections
    Pace finding_new_;
    Pace listing_;             ///< looks for new sockets though none were counted
    Pace rechecking_;          ///< strangers
    bool has_looked_ = false;  ///< what is found from now on is new
    bool has_new_ = false;     ///< connections that have not been looked for yet
    std::uint64_t table_full_ = 0;
    std::uint64_t failed_ = 0;  ///< questions without an answer
};

}  // namespace drainwatch
