#pragma once

#include "drainwatch/result.hpp"

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace drainwatch {

/// What a function of a TLS library does, for who traces it.
enum class TlsCall { read, handshake, peek, ask_error, free };

/// A function that can be traced.
struct TlsFunction {
    TlsCall call{};
    std::string name;
    std::uint64_t offset = 0;  ///< of its code, in the file

    bool operator==(const TlsFunction&) const = default;
};

/// A file, whatever its path.
struct FileId {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;

    // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy 14 takes the comparison's 0 for one
    auto operator<=>(const FileId&) const = default;
};

/// A library with which a process speaks TLS.
struct TlsLibrary {
    std::string name;  ///< "OpenSSL", "GnuTLS", "NSS"
    std::string path;  ///< as the process has mapped it
    std::string file;  ///< by which we reach the same file
    FileId id;
    std::vector<TlsFunction> functions;  ///< none: it cannot be traced, why_not says why
    std::string why_not;

    /// "SSL_read, SSL_do_handshake": those of which the latency is measured.
    [[nodiscard]] std::string measured_calls() const;
};

/// The TLS libraries in an open ELF file, by the functions that it has; `functions` is never empty.
[[nodiscard]] std::vector<TlsLibrary> tls_libraries_in(int fd);

/// The name of such a library, if the line of a memory map (/proc/PID/maps) names one, and its
/// path.
[[nodiscard]] std::optional<TlsLibrary> tls_library_of_line(const std::string& line);

/// Finds the TLS libraries of processes.
class TlsLibraries {
public:
    TlsLibraries() = default;
    /// Only this file, whatever its name. The error says if it is not there or is none.
    [[nodiscard]] static Result<TlsLibraries> only(const std::string& path);

    /// What the process has mapped, as it is now; else what is linked into its executable, if that
    /// has symbols.
    [[nodiscard]] std::vector<TlsLibrary> of(std::uint32_t pid);

private:
    [[nodiscard]] const std::vector<TlsLibrary>& look_into(int fd, FileId id);
    [[nodiscard]] std::vector<TlsLibrary> mapped(std::uint32_t pid);
    [[nodiscard]] std::vector<TlsLibrary> linked_in(std::uint32_t pid);

    std::optional<FileId> only_;
    std::map<FileId, std::vector<TlsLibrary>> known_;  ///< what is in files that were looked into
};

/// The kernel can trace calls of user programs.
[[nodiscard]] bool kernel_has_uprobes();

}  // namespace drainwatch
