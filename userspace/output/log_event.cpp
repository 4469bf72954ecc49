#include "output/log_event.hpp"

#include "detect/wording.hpp"
#include "output/escape.hpp"

#include <fmt/format.h>
#include <cmath>

namespace drainwatch {
namespace {

constexpr std::string_view kStaleLinkTag = "IP_PROC_ERR";
constexpr std::uint64_t kStaleLinkPro = 7204;
constexpr std::uint64_t kStaleLinkErr = 203;

/// Seconds from the first warning to the line; negative if the line came before.
std::optional<double> after_warning_s(const cmlog::Logged& logged, const KnownEpisode* episode,
                                      const ClockPair& clocks)
{
    if (episode == nullptr || !episode->first_warning_ns) {
        return std::nullopt;
    }
    const std::uint64_t warned_ns = clocks.to_realtime(*episode->first_warning_ns);
    return static_cast<double>(static_cast<std::int64_t>(logged.at_ns - warned_ns)) / 1e9;
}

std::string sentence(const cmlog::Logged& logged, const KnownEpisode* episode,
                     std::optional<double> after_s)
{
    const cmlog::ProcessError& error = logged.error;
    std::string text = fmt::format("{} logged {} {}/{}", escape(logged.process.comm),
                                   escape(error.tag), error.pro, error.err);
    if (const auto* client = client_of_stale_link(error)) {
        text += fmt::format(": {} connects again, its old connection is given up", client->text());
    }
    if (episode != nullptr) {
        text += fmt::format("; of episode {}", episode->number);
    }
    if (after_s) {
        text += fmt::format(", {} {} its first warning", in_words(std::abs(*after_s)),
                            *after_s >= 0 ? "after" : "before");
    }
    return text;
}

}  // namespace

const cmlog::AddressPattern* client_of_stale_link(const cmlog::ProcessError& error)
{
    return error.tag == kStaleLinkTag && error.pro == kStaleLinkPro && error.err == kStaleLinkErr
               ? std::get_if<cmlog::AddressPattern>(&error.da2)
               : nullptr;
}

Event to_event(const cmlog::Logged& logged, const KnownEpisode* episode, const ClockPair& clocks)
{
    const cmlog::ProcessError& error = logged.error;
    const auto after_s = after_warning_s(logged, episode, clocks);
    Event event;
    event.name = "log";
    event.severity = client_of_stale_link(error) != nullptr ? Severity::warning : Severity::info;
    event.process = logged.process;
    if (episode != nullptr) {
        event.socket = socket_json(episode->socket, std::nullopt);
    }
    event.reason = sentence(logged, episode, after_s);
    Json& fields = event.fields;
    fields["logged_at"] = rfc3339(logged.at_ns);
    fields["path"] = escape(logged.path);
    fields["level"] = logged.level;
    fields["tag"] = error.tag;
    fields["pro"] = error.pro;
    fields["err"] = error.err;
    fields["seq"] = error.seq;
    fields["da1"] = to_string(error.da1);
    fields["da2"] = to_string(error.da2);
    fields["episode"] = episode != nullptr ? Json(episode->number) : Json(nullptr);
    fields["after_warning_ms"] = after_s ? Json(std::llround(*after_s * 1e3)) : Json(nullptr);
    return event;
}

}  // namespace drainwatch
