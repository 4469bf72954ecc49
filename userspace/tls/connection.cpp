#include "tls/connection.hpp"

#include "tls/alert.hpp"
#include "tls/lengths.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <utility>

namespace drainwatch::tls {
namespace {

/// Lengths of encrypted records of TLS 1.3 (RFC 8446, sections 5.2 and 4.4.4): the content, one
/// byte for its type, and the cipher's tag. The shortest Finished holds a SHA-256.
constexpr std::uint32_t kTypeBytes = 1;
constexpr std::uint32_t kShortestFinished = 4 + 32 + kTypeBytes + kShortTagBytes;
constexpr std::uint32_t kEncryptedAlert = kAlertBytes + kTypeBytes + kTagBytes;
constexpr std::uint32_t kShortEncryptedAlert = kAlertBytes + kTypeBytes + kShortTagBytes;

/// Of what came in, so many parts are remembered: more than a handshake has.
constexpr std::size_t kMostReceived = 64;

Side other(Side side)
{
    return side == Side::local ? Side::peer : Side::local;
}

std::string describe(const Item& item)
{
    if (const auto* hello = std::get_if<ClientHello>(&item.what)) {
        return fmt::format("a {} ClientHello", in_words(hello->max_version()));
    }
    if (const auto* hello = std::get_if<ServerHello>(&item.what)) {
        return hello->is_retry ? "a HelloRetryRequest"
                               : fmt::format("a {} ServerHello", in_words(hello->version));
    }
    if (std::holds_alternative<AlertMessage>(item.what)) {
        return "a TLS alert";
    }
    return "a TLS handshake record";
}

}  // namespace

bool Connection::has_gap() const
{
    return std::any_of(directions_.begin(), directions_.end(), [](const Direction& direction) {
        return direction.reassembly.pending_bytes() > 0;
    });
}

std::size_t Connection::kept_bytes() const
{
    std::size_t sum = 0;
    for (const Direction& direction : directions_) {
        sum += direction.reassembly.pending_bytes() + direction.records.kept_bytes();
    }
    return sum;
}

/// Tells of the handshake that is over, if there was any.
void Connection::finish(Result result, std::uint64_t at_ns, std::vector<News>& news)
{
    state_ = State::past;
    if (!client_) {
        return;
    }
    Handshake handshake{*client_, offered_, selected_, at_ns > began_ns_ ? at_ns - began_ns_ : 0,
                        result};
    if (selected_ && selected_->is_retry) {
        handshake.selected.reset();
    }
    news.emplace_back(handshake);
    if (!handshake.selected) {
        return;
    }
    const Version version = handshake.selected->version;
    if (result == Result::completed && version < minimum_) {
        news.emplace_back(mismatch(VersionMismatch::Kind::below_minimum, *client_));
    } else if (result != Result::completed && result != Result::unknown && offered_ &&
               !offered_->offers(version)) {
        news.emplace_back(mismatch(VersionMismatch::Kind::no_common_version, *client_));
    }
}

VersionMismatch Connection::mismatch(VersionMismatch::Kind kind, Side by) const
{
    VersionMismatch told{kind, by, *client_, std::nullopt, std::nullopt, minimum_};
    if (offered_) {
        told.offered_max = offered_->max_version();
    }
    if (selected_ && !selected_->is_retry) {
        told.selected = selected_->version;
    }
    return told;
}

/// An alert ends the handshake.
void Connection::refuse(std::optional<std::uint8_t> description, Side from, std::uint64_t at_ns,
                        std::vector<News>& news)
{
    finish(Result::refused, at_ns, news);
    if (description != kProtocolVersion) {
        return;
    }
    if (std::holds_alternative<VersionMismatch>(news.back())) {
        news.pop_back();  // the alert says it better
    }
    news.emplace_back(mismatch(VersionMismatch::Kind::alert, from));
}

void Connection::take(const ClientHello& hello, Side from)
{
    client_ = from;
    offered_ = hello;
}

void Connection::take(const ServerHello& hello, Side from)
{
    client_ = other(from);
    selected_ = hello;
    if (is_tls13()) {
        for (Direction& direction : directions_) {
            direction.records.ignore_change_cipher_spec();
        }
    }
}

void Connection::take(const AlertMessage& alert, Side from, std::uint64_t at_ns,
                      std::vector<News>& news)
{
    if (!client_) {
        return;  // no hello: it may be anything
    }
    news.emplace_back(Alert{from, alert.level, alert.description});
    if (alert.description == kCloseNotify) {
        finish(Result::closed, at_ns, news);
    } else if (alert.level != kAlertWarning) {
        refuse(alert.description, from, at_ns, news);
    }
}

void Connection::take(const ApplicationData& data, Side from, std::uint64_t at_ns,
                      std::vector<News>& news)
{
    if (!selected_ || selected_->is_retry) {
        return;  // early data
    }
    const bool as_long_as_alert =
        data.length == kEncryptedAlert || data.length == kShortEncryptedAlert;
    if (is_tls13() && as_long_as_alert) {
        take(AlertMessage{}, from, at_ns, news);
    } else if (!is_tls13() || (from == client_ && data.length >= kShortestFinished)) {
        finish(Result::completed, at_ns, news);
    }
}

void Connection::take(const Item& item, Side from, std::uint64_t at_ns, std::vector<News>& news)
{
    if (from == Side::peer && received_.size() < kMostReceived) {
        received_.push_back({item.end_offset, describe(item)});
    }
    if (const auto* client_hello = std::get_if<ClientHello>(&item.what)) {
        take(*client_hello, from);
    } else if (const auto* server_hello = std::get_if<ServerHello>(&item.what)) {
        take(*server_hello, from);
    } else if (const auto* alert = std::get_if<AlertMessage>(&item.what)) {
        take(*alert, from, at_ns, news);
    } else if (const auto* data = std::get_if<ApplicationData>(&item.what)) {
        take(*data, from, at_ns, news);
    } else if (std::holds_alternative<ChangeCipherSpec>(item.what)) {
        of(from).changed_cipher = !is_tls13();
    } else if (std::holds_alternative<EncryptedHandshake>(item.what)) {
        of(from).finished = of(from).changed_cipher;
        if (directions_[0].finished && directions_[1].finished) {
            finish(Result::completed, at_ns, news);
        }
    }
}

std::vector<Connection::News> Connection::take(const StreamBytes& segment)
{
    std::vector<News> news;
    if (state_ != State::handshake) {
        return news;
    }
    if (began_ns_ == 0) {
        began_ns_ = segment.at_ns;
    }
    if (segment.from == Side::peer) {
        received_from_seq_ = segment.start_seq;
    }
    Direction& direction = of(segment.from);
    const auto in_order = direction.reassembly.add(segment.offset, segment.bytes);
    for (const Item& item : direction.records.feed(in_order)) {
        take(item, segment.from, segment.at_ns, news);
        if (state_ != State::handshake) {
            return news;
        }
    }
    if (direction.records.is_broken()) {
        if (client_) {
            finish(Result::unknown, segment.at_ns, news);
        } else {
            state_ = State::not_tls;
        }
    }
    return news;
}

std::vector<Connection::News> Connection::end(Result result, std::uint64_t at_ns)
{
    std::vector<News> news;
    if (state_ == State::handshake) {
        const bool seen =
            result == Result::completed ? selected_ && !selected_->is_retry : !has_gap();
        finish(seen ? result : Result::unknown, at_ns, news);
    }
    return news;
}

std::optional<std::string> Connection::received_at(std::uint32_t seq) const
{
    if (state_ != State::handshake || !directions_[1].records.has_begun()) {
        return std::nullopt;
    }
    const std::uint32_t read = seq - received_from_seq_;
    for (const Received& part : received_) {
        if (static_cast<std::int32_t>(part.end_offset - read) > 0) {
            return part.what;
        }
    }
    if (directions_[1].records.is_inside_handshake()) {
        return "the beginning of a TLS handshake message";
    }
    return std::nullopt;
}

}  // namespace drainwatch::tls
