#pragma once

#include "tls/hello.hpp"

#include <cstdint>
#include <string>

namespace drainwatch::tls {

/// The suite's name in IANA's registry: "TLS_AES_128_GCM_SHA256"; "0xabcd" for one that is not in
/// it.
[[nodiscard]] std::string cipher_suite_name(std::uint16_t suite);

/// Length of an encrypted alert with its record's header, by what was selected; 0 if it cannot be
/// told from data (TLS 1.3) or is not known. RFC 5246, section 6.2.3; RFC 7366 for
/// encrypt_then_mac.
[[nodiscard]] std::uint8_t encrypted_alert_bytes(const ServerHello& selected);

}  // namespace drainwatch::tls
