#pragma once

#include <cstdint>
#include <string>

namespace drainwatch::tls {

constexpr std::uint8_t kAlertWarning = 1;
constexpr std::uint8_t kAlertFatal = 2;

constexpr std::uint8_t kCloseNotify = 0;
constexpr std::uint8_t kProtocolVersion = 70;
constexpr std::uint8_t kUserCanceled = 90;

/// The name that RFC 8446, section 6, or the RFC that introduced it, gives the description:
/// "protocol_version"; a number for what has none.
[[nodiscard]] std::string alert_name(std::uint8_t description);

/// "warning", "fatal"; a number for what has none.
[[nodiscard]] std::string alert_level_name(std::uint8_t level);

}  // namespace drainwatch::tls
