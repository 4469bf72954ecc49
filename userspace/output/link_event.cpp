#include "output/link_event.hpp"

#include "detect/wording.hpp"
#include "drainwatch/units.hpp"
#include "output/escape.hpp"

#include <fmt/format.h>

namespace drainwatch {
namespace {

std::uint64_t since(std::uint64_t begin_ns, std::uint64_t end_ns)
{
    return end_ns > begin_ns ? end_ns - begin_ns : 0;
}

Json totals_json(const PeerTotals& totals)
{
    return {{"connections", totals.connections},
            {"resets", totals.resets},
            {"replacements", totals.replacements},
            {"episodes", totals.episodes},
            {"longest_stall_ms", ms(totals.longest_stall_ns)}};
}

}  // namespace

Event to_event(const Incident& incident, const ClockPair& clocks)
{
    const bool over = incident.state == Incident::State::over;
    const std::uint64_t duration_ns = since(incident.began_ns, incident.at_ns);
    Event event;
    event.name = "incident";
    event.severity = over ? Severity::info : incident.worst.severity;
    event.process = incident.process;
    const std::string who =
        fmt::format("{} sockets of {}", incident.sockets.size(), escape(incident.process.comm));
    event.reason =
        over ? fmt::format("{} are out of trouble after {}", who,
                           in_words(static_cast<double>(duration_ns) / kNsPerS))
             : fmt::format("{} stopped together; the worst, {} <- {}: {}", who,
                           to_string(incident.worst.sample.local),
                           to_string(incident.worst.sample.remote), incident.worst.reason);
    Json& fields = event.fields;
    fields["incident"] = incident.number;
    fields["state"] = over ? "over" : "raised";
    fields["began_at"] = rfc3339(clocks.to_realtime(incident.began_ns));
    fields["duration_ms"] = ms(duration_ns);
    fields["members"] = incident.sockets.size();
    fields["episodes"] = incident.episodes;
    fields["worst_episode"] = incident.worst.episode;
    return event;
}

Event to_event(const Flapping& flapping, const ClockPair& clocks)
{
    const bool over = flapping.state == Flapping::State::over;
    const std::uint64_t duration_ns = since(flapping.since_ns, flapping.at_ns);
    Event event;
    event.name = "link_flapping";
    event.severity = over ? Severity::info : Severity::warning;
    event.reason =
        over ? fmt::format("links of {} are quiet; they broke {} times", to_string(flapping.peer),
                           flapping.breaks)
             : fmt::format("links of {} broke {} times in {}", to_string(flapping.peer),
                           flapping.breaks, in_words(static_cast<double>(duration_ns) / kNsPerS));
    Json& fields = event.fields;
    fields["state"] = over                                        ? "over"
                      : flapping.state == Flapping::State::raised ? "raised"
                                                                  : "goes_on";
    fields["peer"] = to_string(flapping.peer);
    fields["netns"] = flapping.peer.netns;
    fields["breaks"] = flapping.breaks;
    fields["since"] = rfc3339(clocks.to_realtime(flapping.since_ns));
    return event;
}

Json peers_json(const Peers& peers)
{
    Json rows = Json::array();
    for (const auto& [peer, totals] : peers.table()) {
        Json row{{"peer", to_string(peer)}, {"netns", peer.netns}};
        row.update(totals_json(totals));
        rows.push_back(std::move(row));
    }
    if (const PeerTotals& others = peers.others(); others.connections + others.episodes != 0) {
        Json row{{"peer", nullptr}, {"netns", nullptr}};
        row.update(totals_json(others));
        rows.push_back(std::move(row));
    }
    return rows;
}

}  // namespace drainwatch
