#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace drainwatch {

/// The library with which a process speaks TLS, as its memory map tells.
struct TlsLibrary {
    std::string name;   ///< "OpenSSL", "GnuTLS", "NSS"
    std::string path;   ///< as the process has mapped it
    std::string calls;  ///< that can be traced; empty if we know of none
};

/// Nothing if the process has mapped none; what is linked into its executable is not found.
[[nodiscard]] std::optional<TlsLibrary> tls_library(std::uint32_t pid);

/// The line of a memory map (/proc/PID/maps) names such a library.
[[nodiscard]] std::optional<TlsLibrary> tls_library_of_line(const std::string& line);

/// The kernel can trace calls of user programs.
[[nodiscard]] bool kernel_has_uprobes();

}  // namespace drainwatch
