#include "tls/cipher_suite.hpp"

#include "tls/lengths.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <string_view>

namespace drainwatch::tls {
namespace {

struct Suite {
    std::uint16_t number;
    std::string_view name;
};

/// In the order of their numbers.
constexpr auto kSuites = std::to_array<Suite>({
#include "tls/cipher_suites.inc"
});

bool has(std::string_view name, std::string_view part)
{
    return name.find(part) != std::string_view::npos;
}

std::uint32_t mac_bytes(std::string_view suite)
{
    if (suite.ends_with("_SHA256")) {
        return 32;
    }
    if (suite.ends_with("_SHA384")) {
        return 48;
    }
    return suite.ends_with("_MD5") ? 16 : 20;
}

std::uint32_t padded(std::uint32_t bytes, std::uint32_t block)
{
    return (bytes / block + 1) * block;  // there is always padding
}

constexpr std::uint32_t kExplicitNonceBytes = 8;

/// What an alert grows to behind its header.
std::uint32_t encrypted_bytes(std::string_view suite, const ServerHello& selected)
{
    if (has(suite, "_CHACHA20_")) {
        return kAlertBytes + kTagBytes;
    }
    if (has(suite, "_GCM_") || has(suite, "_CCM")) {
        const bool is_short = has(suite, "_CCM_8");
        return kExplicitNonceBytes + kAlertBytes + (is_short ? kShortTagBytes : kTagBytes);
    }
    const std::uint32_t mac = mac_bytes(suite);
    if (!has(suite, "_CBC")) {
        return kAlertBytes + mac;
    }
    const bool small = has(suite, "DES_") || has(suite, "IDEA_") || has(suite, "RC2_");
    const std::uint32_t block = small ? 8 : 16;
    const std::uint32_t iv = selected.version > kTls10 ? block : 0;
    return iv + (selected.encrypt_then_mac ? padded(kAlertBytes, block) + mac
                                           : padded(kAlertBytes + mac, block));
}

}  // namespace

std::uint8_t encrypted_alert_bytes(const ServerHello& selected)
{
    if (selected.version >= kTls13 || selected.is_retry) {
        return 0;
    }
    const std::string suite = cipher_suite_name(selected.cipher_suite);
    if (!suite.starts_with("TLS_")) {
        return 0;
    }
    return static_cast<std::uint8_t>(kHeaderBytes + encrypted_bytes(suite, selected));
}

std::string cipher_suite_name(std::uint16_t suite)
{
    const auto* found =
        std::lower_bound(kSuites.begin(), kSuites.end(), suite,
                         [](const Suite& s, std::uint16_t number) { return s.number < number; });
    if (found == kSuites.end() || found->number != suite) {
        return fmt::format("0x{:04x}", suite);
    }
    return std::string(found->name);
}

}  // namespace drainwatch::tls
