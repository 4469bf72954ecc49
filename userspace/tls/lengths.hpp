#pragma once

#include <cstdint>

namespace drainwatch::tls {

// Bytes of what TLS gives a fixed length: RFC 8446, 5.1 and 6; RFC 5288 and 6655 (tags).
constexpr std::uint32_t kHeaderBytes = 5;  ///< of a record
constexpr std::uint32_t kAlertBytes = 2;
constexpr std::uint32_t kTagBytes = 16;      ///< of GCM, CCM and ChaCha20-Poly1305
constexpr std::uint32_t kShortTagBytes = 8;  ///< of CCM_8

}  // namespace drainwatch::tls
