#include "tls/tracker.hpp"

#include "drainwatch/abi.h"
#include "tls/cipher_suite.hpp"
#include "tls/lengths.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace drainwatch::tls {
namespace {

constexpr std::uint8_t kAlertRecord = 21;
constexpr std::uint8_t kDataRecord = 23;

struct Header {
    std::uint8_t type = 0;
    Version version = 0;
};

/// The header at the front of a segment that holds one whole record and nothing else.
std::optional<Header> only_record(const StreamBytes& segment)
{
    if (segment.bytes.size() < kHeaderBytes) {
        return std::nullopt;
    }
    const auto length = static_cast<std::uint32_t>(segment.bytes[3] << 8 | segment.bytes[4]);
    const auto version = static_cast<Version>(segment.bytes[1] << 8 | segment.bytes[2]);
    if (length + kHeaderBytes != segment.segment_bytes || version < kSsl3 || version > kTls13) {
        return std::nullopt;
    }
    return Header{segment.bytes[0], version};
}

}  // namespace

Tracker::Tracker(Version minimum, std::chrono::nanoseconds warn_after)
    : minimum_(minimum), warn_after_(warn_after)
{}

Tracker::Place Tracker::place_of(const StreamBytes& segment)
{
    const auto known = places_.find(segment.socket.cookie);
    if (known != places_.end()) {
        return known->second;
    }
    tracked_.push_back({segment.socket, segment.place, Connection(minimum_)});
    const Place place = std::prev(tracked_.end());
    places_.emplace(segment.socket.cookie, place);
    return place;
}

std::vector<Fact> Tracker::tell(const SocketSample& socket, std::uint64_t at_ns,
                                std::vector<Connection::News> news)
{
    std::vector<Fact> facts;
    for (Connection::News& one : news) {
        const auto* handshake = std::get_if<Handshake>(&one);
        const bool agreed =
            handshake != nullptr && handshake->selected && handshake->result == Result::completed;
        if (agreed) {
            note_version(socket, handshake->selected->version);
        }
        std::visit([&](auto& what) { facts.push_back({socket, at_ns, std::move(what)}); }, one);
    }
    return facts;
}

void Tracker::forget(Place place)
{
    kept_bytes_ -= place->kept_bytes;
    places_.erase(place->socket.cookie);
    tracked_.erase(place);
}

void Tracker::note_version(const SocketSample& socket, Version version)
{
    const Peer peer{socket.remote.family, socket.remote.address};
    if (versions_.size() < kMostPeers || versions_.contains(peer)) {
        versions_[peer].insert(version);
    }
}

void Tracker::leave_alone(Cookie cookie)
{
    if (lately_.insert(cookie).second) {
        lately_in_order_.push_back(cookie);
    }
    if (lately_in_order_.size() > kMostConnections) {
        lately_.erase(lately_in_order_.front());
        lately_in_order_.pop_front();
    }
}

/// No more of this connection is wanted.
void Tracker::settle(Place place)
{
    const auto& selected = place->connection.selected();
    const std::uint8_t alert_bytes = selected ? encrypted_alert_bytes(*selected) : std::uint8_t{0};
    settled_.push_back({place->socket.cookie, place->place, alert_bytes});
    leave_alone(place->socket.cookie);
    forget(place);
}

void Tracker::keep_within_bounds()
{
    while (tracked_.size() > kMostConnections || kept_bytes_ > kMostBytes) {
        given_up_++;
        settle(tracked_.begin());
    }
}

std::vector<Fact> Tracker::take(const StreamBytes& segment)
{
    switch (segment.part) {
        case StreamBytes::Part::handshake: return take_handshake(segment);
        case StreamBytes::Part::alert: return take_alert(segment);
        case StreamBytes::Part::glimpse: return take_glimpse(segment);
    }
    return {};
}

std::vector<Fact> Tracker::take_alert(const StreamBytes& segment)
{
    const auto header = only_record(segment);
    if (!header || header->type != kAlertRecord) {
        return {};
    }
    return tell(segment.socket, segment.at_ns, {Alert{segment.from, std::nullopt, std::nullopt}});
}

/// Up to TLS 1.2, the header of a record that holds data has the version that was agreed on; 1.3
/// calls itself 1.2 there.
std::vector<Fact> Tracker::take_glimpse(const StreamBytes& segment)
{
    // Of a handshake that is followed, all is seen: this one was lost sight of for a while.
    if (const auto followed = places_.find(segment.socket.cookie); followed != places_.end()) {
        given_up_++;
        forget(followed->second);
    }
    const auto header = only_record(segment);
    if (!header || header->type != kDataRecord || header->version >= kTls12 ||
        lately_.contains(segment.socket.cookie)) {
        return {};
    }
    leave_alone(segment.socket.cookie);
    note_version(segment.socket, header->version);
    if (header->version >= minimum_) {
        return {};
    }
    return tell(segment.socket, segment.at_ns,
                {VersionMismatch{VersionMismatch::Kind::in_use_below_minimum, segment.from,
                                 segment.from, std::nullopt, header->version, minimum_}});
}

std::vector<Fact> Tracker::take_handshake(const StreamBytes& segment)
{
    if (lately_.contains(segment.socket.cookie)) {
        return take_alert(segment);  // the source was not told in time
    }
    const Place place = place_of(segment);
    auto facts = tell(segment.socket, segment.at_ns, place->connection.take(segment));
    if (segment.offset + segment.segment_bytes >= DW_STREAM_WINDOW) {
        const auto more = tell(segment.socket, segment.at_ns,
                               place->connection.end(Result::unknown, segment.at_ns));
        facts.insert(facts.end(), more.begin(), more.end());
    }
    kept_bytes_ += place->connection.kept_bytes() - place->kept_bytes;
    place->kept_bytes = place->connection.kept_bytes();
    if (place->connection.state() != Connection::State::handshake) {
        settle(place);
    }
    keep_within_bounds();
    return facts;
}

void Tracker::begin(Cookie cookie)
{
    if (const auto known = places_.find(cookie); known != places_.end()) {
        forget(known->second);
    }
    if (lately_.erase(cookie) != 0) {
        std::erase(lately_in_order_, cookie);
    }
}

std::vector<Fact> Tracker::complete(Cookie cookie, int error, std::uint64_t at_ns)
{
    switch (error) {
        case 0: return end(cookie, Result::completed, at_ns);
        case ETIMEDOUT: return end(cookie, Result::closed, at_ns);  // nobody objects
        default: return end(cookie, Result::refused, at_ns);
    }
}

std::vector<Fact> Tracker::end(Cookie cookie, Result result, std::uint64_t at_ns)
{
    const auto known = places_.find(cookie);
    if (known == places_.end()) {
        return {};
    }
    const Place place = known->second;
    auto facts = tell(place->socket, at_ns, place->connection.end(result, at_ns));
    settle(place);
    return facts;
}

void Tracker::source_changed()
{
    tracked_.clear();
    places_.clear();
    kept_bytes_ = 0;
}

std::optional<std::string> Tracker::unread(const SocketSample& sample) const
{
    const auto known = places_.find(sample.cookie);
    if (known == places_.end() || sample.unread_bytes() == 0) {
        return std::nullopt;
    }
    return known->second->connection.received_at(sample.window.copied_seq);
}

std::optional<Fact> Tracker::look(const SocketSample& sample)
{
    const auto what = unread(sample);
    if (!what || sample.unread.empty()) {
        return std::nullopt;
    }
    Tracked& tracked = *places_.at(sample.cookie);
    const std::uint64_t since_ns = std::max(sample.unread.front().at_ns, sample.last_read_ns);
    const std::uint64_t age_ns = sample.taken_ns > since_ns ? sample.taken_ns - since_ns : 0;
    if (tracked.stall_told || age_ns < static_cast<std::uint64_t>(warn_after_.count())) {
        return std::nullopt;
    }
    tracked.stall_told = true;
    return Fact{sample, sample.taken_ns, Stalled{*what, sample.unread_bytes(), age_ns}};
}

std::vector<Settled> Tracker::take_settled()
{
    return std::exchange(settled_, {});
}

}  // namespace drainwatch::tls
