#pragma once

#include "support/process.hpp"

#include <cstdint>
#include <string>
#include <vector>

/// Programs that speak TLS.
namespace drainwatch::live {

/// Is it there?
[[nodiscard]] bool has_program(const std::string& name);

/// A folder with a key and a certificate that nobody trusts: key.pem, certificate.pem; an empty
/// openssl.conf; and a pipe from which nothing ever comes: silence. Gone at the end.
class TlsFiles {
public:
    TlsFiles();
    ~TlsFiles();
    TlsFiles(const TlsFiles&) = delete;
    TlsFiles& operator=(const TlsFiles&) = delete;

    [[nodiscard]] std::string path(const std::string& name) const { return folder_ + "/" + name; }

private:
    std::string folder_;
};

/// A shell command that serves, and has nothing to say by itself; it is listening when this is
/// constructed.
class TlsServer {
public:
    TlsServer(const TlsFiles& files, const std::string& command, std::uint16_t port);

    [[nodiscard]] pid_t pid() const { return process_.pid(); }

private:
    Process process_;
};

/// Somebody listens on this port, in the test's own network namespace.
[[nodiscard]] bool is_listening(std::uint16_t port);

}  // namespace drainwatch::live
