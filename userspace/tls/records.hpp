#pragma once

#include "tls/hello.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace drainwatch::tls {

/// A handshake message other than a hello, sent in the clear.
struct OtherMessage {
    std::uint8_t type = 0;
};

/// A handshake record that cannot be looked into.
struct EncryptedHandshake {};

struct ChangeCipherSpec {};

struct AlertMessage {
    /// Nothing if it is encrypted.
    std::optional<std::uint8_t> level;
    std::optional<std::uint8_t> description;
};

/// Called so by its record's header: in TLS 1.3, handshake messages and alerts look the same.
struct ApplicationData {
    std::uint32_t length = 0;  ///< of the record without its header
};

/// What a stream of records holds, and the place of the stream at which it ends.
struct Item {
    using What = std::variant<ClientHello, ServerHello, OtherMessage, EncryptedHandshake,
                              ChangeCipherSpec, AlertMessage, ApplicationData>;
    What what;
    std::uint32_t end_offset = 0;
};

/// Reads the records of one direction, from the connection's first byte on, as they come. Keeps
/// no bytes but those of a hello that is not whole yet.
class RecordReader {
public:
    /// A longer hello is none.
    static constexpr std::size_t kMostHelloBytes = 32768;

    /// What these bytes, the next ones, complete.
    [[nodiscard]] std::vector<Item> feed(Bytes bytes);

    /// The stream is not TLS, or not any more: nothing further comes of it.
    [[nodiscard]] bool is_broken() const { return broken_; }

    /// A ChangeCipherSpec is for show, as after a HelloRetryRequest: what comes behind it is still
    /// in the clear.
    void ignore_change_cipher_spec() { ignores_cipher_ = true; }

    /// The first bytes are those of TLS.
    [[nodiscard]] bool has_begun() const { return began_ && !broken_; }

    /// At the end of what came is a part of a handshake record, or of a message.
    [[nodiscard]] bool is_inside_handshake() const;

    /// What is kept of a hello.
    [[nodiscard]] std::size_t kept_bytes() const { return hello_.size(); }

private:
    /// Takes so many bytes from the front; counts them.
    Bytes consume(Bytes& bytes, std::size_t count);
    void begin_record(std::vector<Item>& items);
    void begin_v2_record();
    void take_content(Bytes content, std::vector<Item>& items);
    void take_handshake(Bytes content, std::vector<Item>& items);
    void begin_message();
    void end_message(std::vector<Item>& items);
    void end_record(std::vector<Item>& items);
    void end_v2_record(std::vector<Item>& items);
    [[nodiscard]] bool is_encrypted() const { return ciphered_ && !ignores_cipher_; }

    std::uint32_t offset_ = 0;  ///< of the next byte
    bool broken_ = false;
    bool began_ = false;     ///< the first record's header was right
    bool greeted_ = false;   ///< there was a hello
    bool ciphered_ = false;  ///< after ChangeCipherSpec
    bool ignores_cipher_ = false;

    std::array<std::uint8_t, 5> header_{};
    std::size_t header_bytes_ = 0;
    std::uint32_t left_ = 0;  ///< bytes of the record that are still to come
    std::array<std::uint8_t, 2> alert_{};
    std::size_t alert_bytes_ = 0;

    std::array<std::uint8_t, 4> message_header_{};
    std::size_t message_header_bytes_ = 0;
    std::uint32_t message_left_ = 0;
    std::vector<std::uint8_t> hello_;
};

}  // namespace drainwatch::tls
