#include "host/tls_library.hpp"

#include <fmt/format.h>
#include <unistd.h>
#include <array>
#include <fstream>
#include <string_view>

namespace drainwatch {
namespace {

struct Known {
    std::string_view file;  ///< how its name begins
    std::string_view name;
    std::string_view calls;
};
constexpr std::array kLibraries{
    Known{"libssl.so", "OpenSSL", "SSL_read, SSL_do_handshake"},
    Known{"libgnutls.so", "GnuTLS", "gnutls_record_recv, gnutls_handshake"},
    Known{"libnss3.so", "NSS", ""},
};

}  // namespace

std::optional<TlsLibrary> tls_library_of_line(const std::string& line)
{
    const std::size_t path = line.find('/');
    if (path == std::string::npos) {
        return std::nullopt;
    }
    const std::string_view file = std::string_view(line).substr(line.rfind('/') + 1);
    for (const Known& known : kLibraries) {
        if (file.starts_with(known.file)) {
            return TlsLibrary{std::string(known.name), line.substr(path), std::string(known.calls)};
        }
    }
    return std::nullopt;
}

std::optional<TlsLibrary> tls_library(std::uint32_t pid)
{
    std::ifstream map(fmt::format("/proc/{}/maps", pid));
    for (std::string line; std::getline(map, line);) {
        if (auto library = tls_library_of_line(line)) {
            return library;
        }
    }
    return std::nullopt;
}

bool kernel_has_uprobes()
{
    return access("/sys/bus/event_source/devices/uprobe/type", R_OK) == 0;
}

}  // namespace drainwatch
