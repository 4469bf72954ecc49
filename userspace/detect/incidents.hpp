#pragma once

#include "detect/monitor.hpp"
#include "drainwatch/process.hpp"

#include <cstdint>
#include <list>
#include <optional>
#include <set>
#include <vector>

namespace drainwatch {

/// Several sockets of one process that stopped at one time.
struct Incident {
    enum class State { raised, over };
    State state{};
    std::uint64_t number = 0;
    Process process;
    std::uint64_t at_ns = 0;
    std::uint64_t began_ns = 0;           ///< the first of its episodes
    std::set<Cookie> sockets;             ///< its members
    std::vector<std::uint64_t> episodes;  ///< theirs, in the order in which they began
    Alert worst;  ///< of what was raised of its members: the most severe, then the oldest data
};

/// Puts the episodes of one process that begin within kTogetherNs of the first of them together.
/// The first one speaks for itself, at once. If there were other sockets when that time is over,
/// they are an incident: raised then, once more if it becomes critical, and over with the last of
/// them. Pure: is told the time.
class Incidents {
public:
    static constexpr std::uint64_t kTogetherNs = 1'000'000'000;

    /// An alert about a socket of this process.
    [[nodiscard]] std::optional<Incident> note(const Alert& alert, const Process& process);

    /// Those that are to be told by now.
    [[nodiscard]] std::vector<Incident> due(std::uint64_t now_ns);
    /// The watch ends: those that gather are told as they are.
    [[nodiscard]] std::vector<Incident> last(std::uint64_t now_ns);
    /// When due() is to be asked next; nothing if no time is running.
    [[nodiscard]] std::optional<std::uint64_t> due_ns() const;

    /// Another line speaks for this episode's, now or within kTogetherNs.
    [[nodiscard]] bool is_spoken_for(std::uint64_t episode) const;

private:
    struct Group {
        Incident incident;
        std::set<std::uint64_t> open;  ///< episodes that go on
        bool gathering = true;         ///< others may come

        [[nodiscard]] bool has(std::uint64_t episode) const;
        [[nodiscard]] bool is_incident() const { return incident.sockets.size() > 1; }
    };

    std::list<Group>::iterator group_with(std::uint64_t episode);
    Group& group_for(const Alert& alert, const Process& process);
    [[nodiscard]] std::optional<Incident> raise(const Alert& alert, const Process& process);
    [[nodiscard]] std::optional<Incident> end(std::list<Group>::iterator group, const Alert& alert);
    /// Those that began until then gather no more.
    [[nodiscard]] std::vector<Incident> tell(std::uint64_t until_ns, std::uint64_t now_ns);

    std::list<Group> groups_;  ///< few: those of which a member goes on, or that gather
    std::uint64_t told_ = 0;
};

}  // namespace drainwatch
