#pragma once

#include "drainwatch/stream_bytes.hpp"
#include "tls/hello.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

/// What can be told of a connection's TLS. Plain data.
namespace drainwatch::tls {

enum class Result {
    completed,
    refused,  ///< by an alert, or by whoever does it for the kernel
    closed,   ///< without one, or given up
    reset,
    unknown,  ///< bytes of it were not seen
};

/// The handshake is over, one way or the other.
struct Handshake {
    Side client{};                       ///< who said hello first
    std::optional<ClientHello> offered;  ///< nothing if that was not seen
    std::optional<ServerHello> selected;
    std::uint64_t duration_ns = 0;
    Result result{};
};

struct Alert {
    Side from{};
    /// Nothing if it is encrypted.
    std::optional<std::uint8_t> level;
    std::optional<std::uint8_t> description;
};

/// The peers cannot agree on a version, or have agreed on one that is too old.
struct VersionMismatch {
    enum class Kind {
        alert,              ///< protocol_version
        no_common_version,  ///< closed after hellos whose versions do not meet
        below_minimum,
        in_use_below_minimum,  ///< on a connection whose handshake was before the watch
    };
    Kind kind{};
    Side by{};      ///< alert: whose
    Side client{};  ///< who offers; not known if in_use_below_minimum
    std::optional<Version> offered_max;
    std::optional<Version> selected;
    Version minimum = 0;
};

/// What belongs to a handshake has not been read for too long.
struct Stalled {
    std::string what;  ///< "a TLS 1.2 ClientHello"
    std::uint32_t unread_bytes = 0;
    std::uint64_t age_ns = 0;
};

struct Fact {
    SocketSample socket;
    std::uint64_t at_ns = 0;
    std::variant<Handshake, Alert, VersionMismatch, Stalled> what;
};

}  // namespace drainwatch::tls
