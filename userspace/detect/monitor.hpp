#pragma once

#include "detect/episode.hpp"
#include "detect/finding.hpp"
#include "detect/overdue_links.hpp"
#include "detect/peers.hpp"
#include "drainwatch/stream_bytes.hpp"
#include "state/history.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace drainwatch {

/// What is to be told about a socket.
struct Alert {
    enum class Kind {
        not_draining,
        falling_behind,
        zero_window,
        window_reopened,
        recovered,
        link_reset,
        link_replaced,  ///< its peer has connected anew while it waits unread
        ended,          ///< the socket ended in the middle of an episode, without a reset; or the
                        ///< kernel gave the connection up while data was unread
        queue,          ///< how an episode stands
    };
    Kind kind{};
    Severity severity{};
    std::uint64_t at_ns = 0;    ///< when it happened, or was found; CLOCK_MONOTONIC
    bool was_before = false;    ///< it happened before the watch began, nobody knows when
    std::uint64_t episode = 0;  ///< 0: outside of any
    SocketSample sample;
    Reading reading;
    std::optional<double> zero_in_s;
    std::string reason;
    Side reset_by = Side::peer;  ///< link_reset
    std::uint32_t pid = 0;       ///< whose process did it, where this side did and that is known
    int error = 0;               ///< ended: the errno of a connection that was given up, or 0
    Endpoint replaced_by;        ///< link_replaced: where the new connection comes from

    // recovered, link_reset, ended
    std::uint64_t duration_ns = 0;
    std::uint32_t max_queue_bytes = 0;
    std::uint32_t zero_windows = 0;
    std::optional<std::uint64_t> lead_ns;
};

/// The judge: takes samples and notices in the order of time, keeps what a verdict needs of each
/// socket that has unread data, and says what is to be told. Knows no kernel, no clock, no output.
class Monitor {
public:
    explicit Monitor(Limits limits) : limits_(limits) {}

    [[nodiscard]] std::vector<Alert> observe(const SocketSample& sample);

    /// In place of a sample of a socket of which all is told: nothing but time has changed there.
    void unchanged(Cookie cookie, std::uint64_t now_ns);

    /// Something happened to the socket of which `sample` is the latest; nothing if its place was
    /// taken by another since, then what was seen of it last has to do.
    [[nodiscard]] std::vector<Alert> notice(const SocketNotice& notice,
                                            const std::optional<SocketSample>& sample);

    /// A peer has connected: its connection to the same port that waits unread, in an episode, is
    /// being replaced. Told once in an episode.
    [[nodiscard]] std::optional<Alert> connected(const SocketSample& fresh, std::uint64_t at_ns);

    /// Which one that is, as of the last look at it.
    [[nodiscard]] std::optional<Cookie> replaced_by(const SocketSample& fresh,
                                                    std::uint64_t at_ns) const;

    [[nodiscard]] bool was_replaced(Cookie cookie) const;

    /// How long the episodes that go on have lasted, each with its peer.
    [[nodiscard]] std::vector<std::pair<Peer, std::uint64_t>> stalls_so_far(
        std::uint64_t now_ns) const;

    /// The socket does not exist any more.
    [[nodiscard]] std::vector<Alert> gone(Cookie cookie, std::uint64_t now_ns);

    /// How each episode stands, as of the last look.
    [[nodiscard]] std::vector<Alert> standing();

    /// Sockets that must be looked at, unread data or not.
    [[nodiscard]] std::vector<Cookie> followed() const;
    /// Of these, those of which all is told, for as long as nothing but time changes there.
    [[nodiscard]] const std::unordered_set<Cookie>& all_told() const { return all_told_; }
    [[nodiscard]] bool follows(Cookie cookie) const { return sockets_.contains(cookie); }

    /// Some socket may need a verdict before the next tick.
    [[nodiscard]] bool wants_close_look() const;
    /// Some window is closed in effect: that it is announced so may have gone unseen.
    [[nodiscard]] bool awaits_zero() const;
    /// When the silence of some reader will reach --warn-after or --critical-after, if it goes on;
    /// nothing if all that is told already. What should have come by `after_ns` is waited for no
    /// more.
    [[nodiscard]] std::optional<std::uint64_t> next_threshold_ns(std::uint64_t after_ns) const;

    /// From now on samples come from another source, which counts from where it began: episodes go
    /// on, ages are kept, rates begin anew.
    void source_changed();

    struct Totals {
        std::uint64_t episodes = 0;
        std::uint64_t zero_windows = 0;
        std::uint64_t resets = 0;
    };
    [[nodiscard]] const Totals& totals() const { return totals_; }

private:
    struct Followed {
        History history;
        std::optional<Episode> episode;
        SocketSample last;
        Reading reading;
        std::uint32_t zeros_told = 0;  ///< of the zero windows announced, how many were dealt with
        bool closed = false;           ///< the last of them was not reopened, as far as was told
        bool suspicious = false;
        bool replaced_told = false;        ///< until it is read again
        bool from_another_source = false;  ///< `last` is
        std::uint64_t oldest_ns = 0;     ///< what the source before knew of the oldest unread byte
        std::uint64_t last_read_ns = 0;  ///< and of the last read
    };

    void know_again(const SocketSample& sample);
    Followed& follow(const SocketSample& sample);
    static void update(Followed& socket, SocketSample sample);
    static void read_again(Followed& socket);
    static void take_over(Followed& socket, SocketSample& sample);
    Episode& episode_of(Followed& socket);
    [[nodiscard]] static bool is_overdue(const Followed& socket);
    [[nodiscard]] bool all_is_told(const Followed& socket) const;
    void note_what_is_told(Followed& socket);
    void forget(Cookie cookie);
    [[nodiscard]] static Alert make_alert(Alert::Kind kind, Severity severity,
                                          const Followed& socket, std::uint64_t at_ns,
                                          std::string reason);
    void close_window(Followed& socket, std::uint64_t at_ns, std::vector<Alert>& alerts);
    void reopen_window(Followed& socket, std::uint64_t at_ns, std::vector<Alert>& alerts);
    void follow_window(Followed& socket, std::vector<Alert>& alerts);
    static void tell_late_of_zero(Followed& socket, std::vector<Alert>& alerts);
    [[nodiscard]] static Alert zero_alert(const Followed& socket, std::uint64_t at_ns,
                                          std::string reason);
    [[nodiscard]] static bool has_opened(const Followed& socket);
    void judge(Followed& socket, std::vector<Alert>& alerts);
    void reset(Followed& socket, const SocketNotice& notice, std::vector<Alert>& alerts);
    void give_up(Followed& socket, const SocketNotice& notice, std::vector<Alert>& alerts);
    /// Adds what is known of the episode as a whole.
    static void sum_up(Alert& alert, const Followed& socket, std::uint64_t now_ns);

    Limits limits_;
    std::unordered_map<Cookie, Followed> sockets_;
    OverdueLinks overdue_;                 ///< of those, which were not told to be replaced
    std::unordered_set<Cookie> all_told_;  ///< of those
    std::vector<Cookie> from_before_;      ///< not seen yet by the source that took over
    std::uint64_t episodes_begun_ = 0;
    Totals totals_;
};

}  // namespace drainwatch
