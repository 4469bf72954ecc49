#include "tls/version.hpp"

#include <fmt/format.h>

namespace drainwatch::tls {

std::string to_string(Version version)
{
    if (version == kSsl3) {
        return "SSLv3";
    }
    if (version >= kTls10 && version <= kTls13) {
        return fmt::format("TLSv1.{}", version - kTls10);
    }
    return fmt::format("0x{:04x}", version);
}

std::string in_words(Version version)
{
    if (version == kSsl3) {
        return "SSL 3.0";
    }
    if (version >= kTls10 && version <= kTls13) {
        return fmt::format("TLS 1.{}", version - kTls10);
    }
    return fmt::format("version 0x{:04x}", version);
}

std::optional<Version> parse_version(std::string_view text)
{
    constexpr std::string_view kPrefix = "TLSv";
    if (text.starts_with(kPrefix)) {
        text.remove_prefix(kPrefix.size());
    }
    if (text.size() != 3 || !text.starts_with("1.") || text[2] < '0' || text[2] > '3') {
        return std::nullopt;
    }
    return static_cast<Version>(kTls10 + (text[2] - '0'));
}

}  // namespace drainwatch::tls
