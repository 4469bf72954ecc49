#include "tls/records.hpp"

#include "tls/lengths.hpp"

#include <algorithm>
#include <utility>

namespace drainwatch::tls {
namespace {

// Types of records (RFC 8446, section 5.1; RFC 6520)
constexpr std::uint8_t kChangeCipherSpec = 20;
constexpr std::uint8_t kAlert = 21;
constexpr std::uint8_t kHandshake = 22;
constexpr std::uint8_t kApplicationData = 23;
constexpr std::uint8_t kHeartbeat = 24;
/// Ours, for a hello in the format of SSL 2.0: no record has this type.
constexpr std::uint8_t kV2Hello = 0;

// Types of handshake messages
constexpr std::uint8_t kHelloRequest = 0;
constexpr std::uint8_t kClientHello = 1;
constexpr std::uint8_t kServerHello = 2;

constexpr std::uint8_t kMajorVersion = 3;
constexpr std::uint8_t kMostMinorVersion = 4;
/// 2^14 of plaintext, and what TLS 1.2 lets a cipher add.
constexpr std::uint32_t kMostRecordBytes = 16384 + 2048;

bool is_hello(std::uint8_t message_type)
{
    return message_type == kClientHello || message_type == kServerHello;
}

void put(std::vector<Item>& items, Item::What what, std::uint32_t end_offset)
{
    Item& item = items.emplace_back();
    item.what = std::move(what);
    item.end_offset = end_offset;
}

}  // namespace

bool RecordReader::is_inside_handshake() const
{
    if (!has_begun()) {
        return false;
    }
    const bool in_message = message_header_bytes_ > 0;
    return in_message || (left_ > 0 && (header_[0] == kHandshake || header_[0] == kV2Hello));
}

Bytes RecordReader::consume(Bytes& bytes, std::size_t count)
{
    const Bytes taken = bytes.first(count);
    bytes = bytes.subspan(count);
    offset_ += static_cast<std::uint32_t>(count);
    return taken;
}

void RecordReader::begin_record(std::vector<Item>& items)
{
    const std::uint8_t type = header_[0];
    left_ = static_cast<std::uint32_t>(header_[3] << 8 | header_[4]);
    const bool well_formed = type >= kChangeCipherSpec && type <= kHeartbeat &&
                             header_[1] == kMajorVersion && header_[2] <= kMostMinorVersion &&
                             left_ <= kMostRecordBytes && (left_ > 0 || type == kApplicationData);
    const bool in_place = began_ || type == kHandshake || type == kAlert;
    if (!well_formed || !in_place) {
        broken_ = true;
        return;
    }
    began_ = true;
    alert_bytes_ = 0;
    if (type == kApplicationData) {
        put(items, ApplicationData{left_}, offset_ + left_);
    }
}

/// All but two bytes of the header are the beginning of the message.
void RecordReader::begin_v2_record()
{
    constexpr std::size_t kV2HeaderBytes = 2;
    const std::size_t length = static_cast<std::size_t>(header_[0] & 0x7f) << 8 | header_[1];
    const std::size_t have = header_.size() - kV2HeaderBytes;
    if (length <= have) {
        broken_ = true;
        return;
    }
    began_ = true;
    hello_.assign(header_.begin() + kV2HeaderBytes, header_.end());
    left_ = static_cast<std::uint32_t>(length - have);
    header_[0] = kV2Hello;
}

void RecordReader::begin_message()
{
    message_left_ = static_cast<std::uint32_t>(message_header_[1] << 16 | message_header_[2] << 8 |
                                               message_header_[3]);
    const std::uint8_t type = message_header_[0];
    const bool in_place = greeted_ || is_hello(type) || type == kHelloRequest;
    if (!in_place || (is_hello(type) && message_left_ > kMostHelloBytes)) {
        broken_ = true;
    }
}

void RecordReader::end_message(std::vector<Item>& items)
{
    message_header_bytes_ = 0;
    const std::vector<std::uint8_t> message = std::exchange(hello_, {});
    const std::uint8_t type = message_header_[0];
    if (!is_hello(type)) {
        put(items, OtherMessage{type}, offset_);
        return;
    }
    greeted_ = true;
    if (type == kClientHello) {
        if (auto hello = parse_client_hello(message)) {
            put(items, std::move(*hello), offset_);
            return;
        }
    } else if (const auto hello = parse_server_hello(message)) {
        put(items, *hello, offset_);
        return;
    }
    broken_ = true;
}

void RecordReader::take_handshake(Bytes content, std::vector<Item>& items)
{
    while (!content.empty() && !broken_) {
        if (message_header_bytes_ < message_header_.size()) {
            message_header_[message_header_bytes_++] = consume(content, 1).front();
            if (message_header_bytes_ < message_header_.size()) {
                continue;
            }
            begin_message();
        } else {
            const Bytes piece =
                consume(content, std::min<std::size_t>(message_left_, content.size()));
            message_left_ -= static_cast<std::uint32_t>(piece.size());
            if (is_hello(message_header_[0])) {
                hello_.insert(hello_.end(), piece.begin(), piece.end());
            }
        }
        if (!broken_ && message_left_ == 0) {
            end_message(items);
        }
    }
}

void RecordReader::take_content(Bytes content, std::vector<Item>& items)
{
    if (header_[0] == kHandshake && !is_encrypted()) {
        take_handshake(content, items);
        return;
    }
    for (const std::uint8_t byte : consume(content, content.size())) {
        if (header_[0] == kV2Hello) {
            hello_.push_back(byte);
        } else if (header_[0] == kAlert && alert_bytes_ < alert_.size()) {
            alert_[alert_bytes_++] = byte;
        }
    }
}

void RecordReader::end_v2_record(std::vector<Item>& items)
{
    auto hello = parse_v2_client_hello(std::exchange(hello_, {}));
    if (!hello) {
        broken_ = true;
        return;
    }
    greeted_ = true;
    put(items, std::move(*hello), offset_);
}

void RecordReader::end_record(std::vector<Item>& items)
{
    const std::uint32_t length = static_cast<std::uint32_t>(header_[3] << 8 | header_[4]);
    header_bytes_ = 0;
    switch (header_[0]) {
        case kV2Hello: end_v2_record(items); break;
        case kChangeCipherSpec:
            ciphered_ = true;
            put(items, ChangeCipherSpec{}, offset_);
            break;
        case kAlert:
            if (length == kAlertBytes && !is_encrypted()) {
                put(items, AlertMessage{alert_[0], alert_[1]}, offset_);
            } else {
                put(items, AlertMessage{}, offset_);
            }
            break;
        case kHandshake:
            if (is_encrypted()) {
                put(items, EncryptedHandshake{}, offset_);
            }
            break;
        default: break;
    }
}

std::vector<Item> RecordReader::feed(Bytes bytes)
{
    std::vector<Item> items;
    while (!bytes.empty() && !broken_) {
        if (header_bytes_ < header_.size()) {
            header_[header_bytes_++] = consume(bytes, 1).front();
            if (header_bytes_ < header_.size()) {
                continue;
            }
            const bool v2 = !began_ && (header_[0] & 0x80) && header_[2] == kClientHello;
            if (v2) {
                begin_v2_record();
            } else {
                begin_record(items);
            }
        } else {
            const std::size_t count = std::min<std::size_t>(left_, bytes.size());
            left_ -= static_cast<std::uint32_t>(count);
            take_content(bytes.first(count), items);
            bytes = bytes.subspan(count);
        }
        if (!broken_ && left_ == 0) {
            end_record(items);
        }
    }
    return items;
}

}  // namespace drainwatch::tls
