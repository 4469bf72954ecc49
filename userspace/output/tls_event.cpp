#include "output/tls_event.hpp"

#include "detect/wording.hpp"
#include "drainwatch/units.hpp"
#include "output/escape.hpp"
#include "tls/alert.hpp"
#include "tls/cipher_suite.hpp"

#include <fmt/format.h>
#include <cmath>

namespace drainwatch {
namespace {

/// An address without its port.
std::string address_of(Endpoint endpoint)
{
    const std::string text = to_string(endpoint);
    return text.substr(0, text.rfind(':'));
}

/// "peer 10.1.2.3", "this side"
std::string who(Side side, const SocketSample& socket)
{
    return side == Side::local ? "this side" : "peer " + address_of(socket.remote);
}

Side other(Side side)
{
    return side == Side::local ? Side::peer : Side::local;
}

std::string_view name_of(tls::Result result)
{
    switch (result) {
        case tls::Result::completed: return "completed";
        case tls::Result::refused: return "refused";
        case tls::Result::closed: return "closed";
        case tls::Result::reset: return "reset";
        case tls::Result::unknown: return "unknown";
    }
    return "";
}

Json version_json(const std::optional<tls::Version>& version)
{
    return version ? Json(tls::to_string(*version)) : Json(nullptr);
}

/// Adds what is particular to each kind of fact. The sentence says both sides.
class Writer {
public:
    Writer(const SocketSample& socket, Event& event) : socket_(socket), event_(event) {}

    void operator()(const tls::Handshake& handshake)
    {
        event_.name = "tls_handshake";
        event_.reason = sentence(handshake);
        Json& fields = event_.fields;
        fields["role"] = handshake.client == Side::local ? "client" : "server";
        fields["offered_versions"] = nullptr;
        fields["offered_max"] = nullptr;
        if (handshake.offered) {
            fields["offered_versions"] = Json::array();
            for (const tls::Version version : handshake.offered->versions) {
                fields["offered_versions"].push_back(tls::to_string(version));
            }
            fields["offered_max"] = tls::to_string(handshake.offered->max_version());
        }
        fields["selected"] = nullptr;
        fields["cipher_suite"] = nullptr;
        if (handshake.selected) {
            fields["selected"] = tls::to_string(handshake.selected->version);
            fields["cipher_suite"] = tls::cipher_suite_name(handshake.selected->cipher_suite);
        }
        if (handshake.offered && !handshake.offered->server_name.empty()) {
            fields["server_name"] = escape(handshake.offered->server_name);
        }
        fields["duration_ms"] =
            std::round(static_cast<double>(handshake.duration_ns) / kNsPerMs * 1e3) / 1e3;
        fields["result"] = name_of(handshake.result);
    }

    void operator()(const tls::Alert& alert)
    {
        event_.name = "tls_alert";
        if (alert.level == tls::kAlertFatal) {
            event_.severity = Severity::warning;
        }
        event_.reason = fmt::format(
            "{} sent {}", who(alert.from, socket_),
            alert.description ? tls::alert_name(*alert.description) : "an encrypted alert");
        event_.fields["from"] = alert.from == Side::local ? "local" : "peer";
        event_.fields["level"] =
            alert.level ? Json(tls::alert_level_name(*alert.level)) : Json(nullptr);
        event_.fields["description"] =
            alert.description ? Json(tls::alert_name(*alert.description)) : Json(nullptr);
    }

    void operator()(const tls::VersionMismatch& mismatch)
    {
        event_.name = "tls_version_mismatch";
        event_.severity = Severity::warning;
        event_.reason = sentence(mismatch);
        event_.fields["offered_max"] = version_json(mismatch.offered_max);
        event_.fields["selected"] = version_json(mismatch.selected);
        event_.fields["tls_min"] = tls::to_string(mismatch.minimum);
    }

    void operator()(const tls::Stalled& stalled)
    {
        event_.name = "tls_handshake_stalled";
        event_.severity = Severity::warning;
        event_.reason =
            fmt::format("{} unread bytes for {}: {}", stalled.unread_bytes,
                        in_words(static_cast<double>(stalled.age_ns) / kNsPerS), stalled.what);
        event_.fields["unread"] = stalled.what;
        event_.fields["unread_bytes"] = stalled.unread_bytes;
        event_.fields["unread_age_ms"] = ms(stalled.age_ns);
    }

private:
    [[nodiscard]] std::string sentence(const tls::Handshake& handshake) const
    {
        const std::string client = who(handshake.client, socket_);
        const std::string offer = handshake.offered
                                      ? fmt::format("{} offers at most {}", client,
                                                    tls::in_words(handshake.offered->max_version()))
                                      : fmt::format("the hello of {} was not seen", client);
        const std::string answer =
            handshake.selected ? fmt::format("{} chose {}", who(other(handshake.client), socket_),
                                             tls::in_words(handshake.selected->version))
                               : "no version was chosen";
        return fmt::format("handshake {}: {}; {}", name_of(handshake.result), offer, answer);
    }

    [[nodiscard]] std::string sentence(const tls::VersionMismatch& mismatch) const
    {
        using Kind = tls::VersionMismatch::Kind;
        const std::string client = who(mismatch.client, socket_);
        const std::string server = who(other(mismatch.client), socket_);
        const std::string offered =
            mismatch.offered_max ? tls::in_words(*mismatch.offered_max) : "an unknown version";
        const std::string selected =
            mismatch.selected ? tls::in_words(*mismatch.selected) : "no version";
        switch (mismatch.kind) {
            case Kind::alert:
                return mismatch.by == mismatch.client
                           ? fmt::format("{} chose {}; {} answered protocol_version", server,
                                         selected, client)
                           : fmt::format("{} offers at most {}; {} answered protocol_version",
                                         client, offered, server);
            case Kind::no_common_version:
                return fmt::format("{} does not offer {}, which {} chose, and the connection ended",
                                   client, selected, server);
            case Kind::below_minimum:
                return fmt::format("{} offers at most {} and {} chose {}, below --tls-min {}",
                                   client, offered, server, selected,
                                   tls::in_words(mismatch.minimum));
            case Kind::in_use_below_minimum:
                return fmt::format(
                    "this side and peer {} use {}, below --tls-min {}; they agreed on it before "
                    "the watch",
                    address_of(socket_.remote), selected, tls::in_words(mismatch.minimum));
        }
        return "";
    }

    const SocketSample& socket_;
    Event& event_;
};

}  // namespace

Event to_event(const tls::Fact& fact, std::optional<Process> process,
               std::optional<std::uint32_t> fd, const ClockPair& clocks)
{
    Event event;
    event.process = std::move(process);
    event.socket = socket_json(fact.socket, fd);
    event.fields["at"] = rfc3339(clocks.to_realtime(fact.at_ns));
    std::visit(Writer(fact.socket, event), fact.what);
    return event;
}

Json tls_versions_json(const std::map<tls::Tracker::Peer, std::set<tls::Version>>& seen)
{
    Json json = Json::object();
    for (const auto& [peer, versions] : seen) {
        Json& list = json[address_of({peer.first, peer.second, 0})];
        list = Json::array();
        for (const tls::Version version : versions) {
            list.push_back(tls::to_string(version));
        }
    }
    return json;
}

}  // namespace drainwatch
