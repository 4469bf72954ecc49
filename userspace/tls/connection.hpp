#pragma once

#include "tls/fact.hpp"
#include "tls/reassembly.hpp"
#include "tls/records.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace drainwatch::tls {

/// Follows one connection's handshake from the bytes of both directions. Whoever owns it says what
/// time it is.
class Connection {
public:
    using News = std::variant<Handshake, Alert, VersionMismatch>;
    enum class State { handshake, past, not_tls };

    explicit Connection(Version minimum) : minimum_(minimum) {}

    [[nodiscard]] std::vector<News> take(const StreamBytes& segment);

    /// The handshake has ended, as the bytes did not tell.
    [[nodiscard]] std::vector<News> end(Result result, std::uint64_t at_ns);

    [[nodiscard]] State state() const { return state_; }

    /// What was selected; nothing if that was not seen.
    [[nodiscard]] const std::optional<ServerHello>& selected() const { return selected_; }

    /// The oldest part of the handshake that has come in and lies at or behind this sequence
    /// number: "a TLS 1.2 ClientHello".
    [[nodiscard]] std::optional<std::string> received_at(std::uint32_t seq) const;

    /// What is kept of payload.
    [[nodiscard]] std::size_t kept_bytes() const;

private:
    struct Direction {
        Reassembly reassembly;
        RecordReader records;
        bool changed_cipher = false;
        bool finished = false;
    };
    /// A part of the handshake that has come in, up to this place of the stream.
    struct Received {
        std::uint32_t end_offset = 0;
        std::string what;
    };

    [[nodiscard]] Direction& of(Side side) { return directions_[side == Side::local ? 0 : 1]; }
    [[nodiscard]] bool is_tls13() const { return selected_ && selected_->version >= kTls13; }
    [[nodiscard]] bool has_gap() const;

    void take(const Item& item, Side from, std::uint64_t at_ns, std::vector<News>& news);
    void take(const ClientHello& hello, Side from);
    void take(const ServerHello& hello, Side from);
    void take(const AlertMessage& alert, Side from, std::uint64_t at_ns, std::vector<News>& news);
    void take(const ApplicationData& data, Side from, std::uint64_t at_ns, std::vector<News>& news);
    void finish(Result result, std::uint64_t at_ns, std::vector<News>& news);
    [[nodiscard]] VersionMismatch mismatch(VersionMismatch::Kind kind, Side by) const;
    void refuse(std::optional<std::uint8_t> description, Side from, std::uint64_t at_ns,
                std::vector<News>& news);

    Version minimum_;
    State state_ = State::handshake;
    std::array<Direction, 2> directions_;
    std::optional<Side> client_;
    std::optional<ClientHello> offered_;
    std::optional<ServerHello> selected_;  ///< the last; a retry's until the real one comes
    std::uint64_t began_ns_ = 0;
    std::uint32_t received_from_seq_ = 0;
    std::vector<Received> received_;
};

}  // namespace drainwatch::tls
