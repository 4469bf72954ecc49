#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace drainwatch::tls {

/// A protocol version as it goes over the wire: 0x0303 is TLS 1.2.
using Version = std::uint16_t;

constexpr Version kSsl3 = 0x0300;
constexpr Version kTls10 = 0x0301;
constexpr Version kTls12 = 0x0303;
constexpr Version kTls13 = 0x0304;

/// Values that stand for nothing and keep implementations honest (RFC 8701), in lists of versions
/// and of cipher suites alike.
[[nodiscard]] constexpr bool is_grease(std::uint16_t value)
{
    return (value & 0x0f0f) == 0x0a0a && value >> 8 == (value & 0xff);
}

/// "TLSv1.2", "SSLv3"; "0x7f1c" for a draft, or what does not exist.
[[nodiscard]] std::string to_string(Version version);

/// "TLS 1.2", for sentences.
[[nodiscard]] std::string in_words(Version version);

/// "1.2" or "TLSv1.2", from 1.0 to 1.3.
[[nodiscard]] std::optional<Version> parse_version(std::string_view text);

}  // namespace drainwatch::tls
