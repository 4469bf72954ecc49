#pragma once

#include "cmlog/reader.hpp"
#include "detect/episode_book.hpp"
#include "detect/incidents.hpp"
#include "detect/monitor.hpp"
#include "detect/peers.hpp"
#include "output/event.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace drainwatch {

/// What happens beyond a single socket: sockets that stop together, a peer's links that break, and
/// what is logged about them. All times are CLOCK_MONOTONIC.
class LinkStory {
public:
    /// `logs`: paths of Communication Manager logs; those that are not there may come later.
    LinkStory(const std::vector<std::string>& logs, const cmlog::TimeZone& zone);

    struct Noted {
        bool is_spoken_for = false;  ///< by the line of an incident, now or soon
        std::optional<Event> incident;
    };
    /// An alert about a socket of this process.
    [[nodiscard]] Noted note(const Alert& alert, const Process& process);

    void connected(const SocketSample& fresh, std::uint64_t at_ns);
    /// A link has broken: `was_replaced` by another before, and told so.
    [[nodiscard]] std::optional<Event> reset(const SocketSample& link, std::uint64_t at_ns,
                                             bool was_replaced);
    [[nodiscard]] std::optional<Event> replaced(const SocketSample& link, std::uint64_t at_ns);

    /// What there is to tell by now.
    [[nodiscard]] std::vector<Event> due(std::uint64_t now_ns);
    /// When that is to be asked next, at the latest.
    [[nodiscard]] std::uint64_t due_ns() const;
    /// Now, at the end: of those that still gather as well, and all that was logged.
    [[nodiscard]] std::vector<Event> last(std::uint64_t now_ns);

    /// Of the stalls that go on at the end: peers, and for how long so far.
    void stalls_so_far(const std::vector<std::pair<Peer, std::uint64_t>>& stalls,
                       std::uint64_t now_ns);
    void add_to_summary(Event& summary) const;

    /// A sentence for a person about each log that is not read now.
    [[nodiscard]] std::vector<std::string> unopened_logs() const;

private:
    [[nodiscard]] std::vector<Event> take_logs();

    EpisodeBook episodes_;
    Incidents incidents_;
    Peers peers_;
    std::optional<cmlog::Reader> logs_;  ///< nothing: none is followed
    std::uint64_t logs_due_ns_;
};

}  // namespace drainwatch
