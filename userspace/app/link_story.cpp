#include "app/link_story.hpp"

#include "drainwatch/units.hpp"
#include "host/clock.hpp"
#include "output/escape.hpp"
#include "output/link_event.hpp"
#include "output/log_event.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <cerrno>
#include <iterator>
#include <system_error>

namespace drainwatch {
namespace {

/// How often logs are looked at.
constexpr std::uint64_t kLogSpacingNs = 100'000'000;

template <typename Thing>
void append(std::vector<Event>& events, const std::vector<Thing>& things)
{
    std::transform(things.begin(), things.end(), std::back_inserter(events),
                   [](const Thing& thing) { return to_event(thing, clock_pair()); });
}

std::optional<Event> to_event(const std::optional<Flapping>& flapping)
{
    return flapping ? std::optional(to_event(*flapping, clock_pair())) : std::nullopt;
}

}  // namespace

LinkStory::LinkStory(const std::vector<std::string>& logs, const cmlog::TimeZone& zone)
    : logs_due_ns_(logs.empty() ? kNever : 0)
{
    if (!logs.empty()) {
        logs_.emplace(logs, zone);
    }
}

LinkStory::Noted LinkStory::note(const Alert& alert, const Process& process)
{
    const Peer peer = peer_of(alert.sample);
    if (episodes_.note(alert)) {
        peers_.episode_begun(peer, alert.at_ns);
    }
    if (alert.duration_ns != 0) {
        peers_.episode_over(peer, alert.duration_ns, alert.at_ns);
    }
    const bool was_spoken_for = incidents_.is_spoken_for(alert.episode);
    const auto incident = incidents_.note(alert, process);
    Noted noted;
    noted.is_spoken_for = was_spoken_for || incidents_.is_spoken_for(alert.episode);
    if (incident) {
        noted.incident = to_event(*incident, clock_pair());
    }
    return noted;
}

void LinkStory::connected(const SocketSample& fresh, std::uint64_t at_ns)
{
    peers_.connected(peer_of(fresh), at_ns);
}

std::optional<Event> LinkStory::reset(const SocketSample& link, std::uint64_t at_ns,
                                      bool was_replaced)
{
    // Who is replaced is broken already. Who connects, sends nothing and resets has looked whether
    // the port is open, as a balancer's check of health does: that is no link.
    const bool breaks = !was_replaced && !link.said_nothing;
    return to_event(peers_.reset(peer_of(link), at_ns, breaks));
}

std::optional<Event> LinkStory::replaced(const SocketSample& link, std::uint64_t at_ns)
{
    return to_event(peers_.replaced(peer_of(link), at_ns));
}

std::vector<Event> LinkStory::take_logs()
{
    std::vector<Event> events;
    if (!logs_) {
        return events;
    }
    const ClockPair clocks = clock_pair();
    for (const cmlog::Logged& logged : logs_->take(clocks.realtime_ns)) {
        const auto* client = client_of_stale_link(logged.error);
        const auto* episode =
            client != nullptr
                ? episodes_.find([&](const Endpoint& peer) { return client->matches(peer); },
                                 clocks.to_monotonic(logged.at_ns))
                : nullptr;
        events.push_back(to_event(logged, episode, clocks));
    }
    return events;
}

std::vector<Event> LinkStory::due(std::uint64_t now_ns)
{
    std::vector<Event> events;
    if (now_ns >= logs_due_ns_) {
        logs_due_ns_ = now_ns + kLogSpacingNs;
        events = take_logs();
    }
    append(events, incidents_.due(now_ns));
    append(events, peers_.quiet(now_ns));
    return events;
}

std::uint64_t LinkStory::due_ns() const
{
    return std::min(logs_due_ns_, incidents_.due_ns().value_or(kNever));
}

std::vector<Event> LinkStory::last(std::uint64_t now_ns)
{
    std::vector<Event> events = take_logs();
    append(events, incidents_.last(now_ns));
    append(events, peers_.quiet(now_ns));
    return events;
}

void LinkStory::stalls_so_far(const std::vector<std::pair<Peer, std::uint64_t>>& stalls,
                              std::uint64_t now_ns)
{
    for (const auto& [peer, duration_ns] : stalls) {
        peers_.episode_over(peer, duration_ns, now_ns);
    }
}

void LinkStory::add_to_summary(Event& summary) const
{
    summary.fields["peers"] = peers_json(peers_);
    if (logs_) {
        summary.fields["log_lines_unreadable"] = logs_->unreadable();
    }
}

namespace {

std::string why_not_read(const cmlog::Reader::Unopened& log)
{
    if (log.error == ENOENT) {
        return fmt::format("{} is not there yet; waiting for it", escape(log.path));
    }
    const std::string why =
        log.error != 0 ? std::generic_category().message(log.error) : "it is no file";
    return fmt::format("--cm-log {} cannot be read ({}): run this as root, or name another file",
                       escape(log.path), why);
}

}  // namespace

std::vector<std::string> LinkStory::unopened_logs() const
{
    std::vector<std::string> sentences;
    if (logs_) {
        for (const cmlog::Reader::Unopened& log : logs_->unopened()) {
            sentences.push_back(why_not_read(log));
        }
    }
    return sentences;
}

}  // namespace drainwatch
