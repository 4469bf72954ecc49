#include "detect/incidents.hpp"

#include <algorithm>
#include <utility>

namespace drainwatch {
namespace {

bool is_raise(const Alert& alert)
{
    return alert.kind == Alert::Kind::not_draining || alert.kind == Alert::Kind::falling_behind ||
           alert.kind == Alert::Kind::zero_window;
}

bool is_end(const Alert& alert)
{
    return alert.kind == Alert::Kind::recovered || alert.kind == Alert::Kind::link_reset ||
           alert.kind == Alert::Kind::ended;
}

bool is_worse(const Alert& a, const Alert& b)
{
    return std::pair(a.severity, a.reading.age_ns) > std::pair(b.severity, b.reading.age_ns);
}

Incident as_of(const Incident& incident, Incident::State state, std::uint64_t at_ns)
{
    Incident told = incident;
    told.state = state;
    told.at_ns = at_ns;
    return told;
}

}  // namespace

bool Incidents::Group::has(std::uint64_t episode) const
{
    const auto& members = incident.episodes;
    return std::find(members.begin(), members.end(), episode) != members.end();
}

std::list<Incidents::Group>::iterator Incidents::group_with(std::uint64_t episode)
{
    return std::find_if(groups_.begin(), groups_.end(),
                        [&](const Group& group) { return group.has(episode); });
}

/// The one that is gathering, or a new one.
Incidents::Group& Incidents::group_for(const Alert& alert, const Process& process)
{
    const auto found = std::find_if(groups_.begin(), groups_.end(), [&](const Group& group) {
        return group.gathering && group.incident.process.pid == process.pid &&
               alert.at_ns < group.incident.began_ns + kTogetherNs;
    });
    if (found != groups_.end()) {
        return *found;
    }
    Group& group = groups_.emplace_back();
    group.incident.process = process;
    group.incident.began_ns = alert.at_ns;
    group.incident.worst = alert;
    return group;
}

std::optional<Incident> Incidents::raise(const Alert& alert, const Process& process)
{
    const auto known = group_with(alert.episode);
    Group& group = known != groups_.end() ? *known : group_for(alert, process);
    if (known == groups_.end()) {
        group.incident.sockets.insert(alert.sample.cookie);
        group.incident.episodes.push_back(alert.episode);
        group.open.insert(alert.episode);
    }
    const Severity before = group.incident.worst.severity;
    if (is_worse(alert, group.incident.worst)) {
        group.incident.worst = alert;
    }
    const bool escalates = !group.gathering && group.is_incident() && alert.severity > before;
    return escalates ? std::optional(as_of(group.incident, Incident::State::raised, alert.at_ns))
                     : std::nullopt;
}

std::optional<Incident> Incidents::end(std::list<Group>::iterator group, const Alert& alert)
{
    group->open.erase(alert.episode);
    if (!group->open.empty() || group->gathering) {
        return std::nullopt;
    }
    std::optional<Incident> over;
    if (group->is_incident()) {
        over = as_of(group->incident, Incident::State::over, alert.at_ns);
    }
    groups_.erase(group);
    return over;
}

std::optional<Incident> Incidents::note(const Alert& alert, const Process& process)
{
    if (alert.episode == 0) {
        return std::nullopt;
    }
    if (is_raise(alert)) {
        return process.pid != 0 ? raise(alert, process) : std::nullopt;
    }
    const auto group = group_with(alert.episode);
    return is_end(alert) && group != groups_.end() ? end(group, alert) : std::nullopt;
}

std::vector<Incident> Incidents::due(std::uint64_t now_ns)
{
    return tell(now_ns - std::min(now_ns, kTogetherNs), now_ns);
}

std::vector<Incident> Incidents::last(std::uint64_t now_ns)
{
    return tell(now_ns, now_ns);
}

std::vector<Incident> Incidents::tell(std::uint64_t until_ns, std::uint64_t now_ns)
{
    std::vector<Incident> told;
    for (Group& group : groups_) {
        if (!group.gathering || group.incident.began_ns > until_ns) {
            continue;
        }
        group.gathering = false;
        if (group.is_incident()) {
            group.incident.number = ++told_;
            told.push_back(as_of(group.incident, Incident::State::raised, now_ns));
            if (group.open.empty()) {
                told.push_back(as_of(group.incident, Incident::State::over, now_ns));
            }
        }
    }
    groups_.remove_if([](const Group& group) { return !group.gathering && group.open.empty(); });
    return told;
}

std::optional<std::uint64_t> Incidents::due_ns() const
{
    std::optional<std::uint64_t> next;
    for (const Group& group : groups_) {
        if (group.gathering) {
            const std::uint64_t at_ns = group.incident.began_ns + kTogetherNs;
            next = std::min(next.value_or(at_ns), at_ns);
        }
    }
    return next;
}

bool Incidents::is_spoken_for(std::uint64_t episode) const
{
    return std::any_of(groups_.begin(), groups_.end(), [&](const Group& group) {
        const bool speaks_for_itself =
            group.gathering && group.incident.episodes.front() == episode;
        return group.is_incident() && group.has(episode) && !speaks_for_itself;
    });
}

}  // namespace drainwatch
