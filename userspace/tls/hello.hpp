#pragma once

#include "tls/version.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

/// The two messages that say what is offered and what is chosen. A message is what follows the
/// four bytes of type and length (RFC 8446, section 4; RFC 5246, section 7.4.1).
namespace drainwatch::tls {

using Bytes = std::span<const std::uint8_t>;

struct ClientHello {
    /// As sent, without GREASE: the list of supported_versions where there is one, else
    /// legacy_version alone, which stands for itself and everything below.
    std::vector<Version> versions;
    bool lists_versions = false;  ///< versions is a list: what is not in it is not offered
    std::string server_name;      ///< raw, at most 255 bytes; empty if none was sent

    [[nodiscard]] Version max_version() const;
    [[nodiscard]] bool offers(Version version) const;

    bool operator==(const ClientHello&) const = default;
};

struct ServerHello {
    Version version = 0;
    std::uint16_t cipher_suite = 0;
    bool encrypt_then_mac = false;
    bool is_retry = false;  ///< a HelloRetryRequest: the client is to say hello again

    bool operator==(const ServerHello&) const = default;
};

/// Nothing if the message is not well formed.
[[nodiscard]] std::optional<ClientHello> parse_client_hello(Bytes message);
[[nodiscard]] std::optional<ServerHello> parse_server_hello(Bytes message);

/// The hello in the format of SSL 2.0, in which old clients offer TLS (RFC 5246, appendix E.2):
/// from its message type on.
[[nodiscard]] std::optional<ClientHello> parse_v2_client_hello(Bytes message);

}  // namespace drainwatch::tls
