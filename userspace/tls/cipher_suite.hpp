#pragma once

#include <cstdint>
#include <string>

namespace drainwatch::tls {

/// The suite's name in IANA's registry: "TLS_AES_128_GCM_SHA256"; "0xabcd" for one that is not in
/// it.
[[nodiscard]] std::string cipher_suite_name(std::uint16_t suite);

}  // namespace drainwatch::tls
