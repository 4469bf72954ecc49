#include "host/tls_library.hpp"

#include "host/elf_symbols.hpp"
#include "host/file.hpp"
#include "host/mapping.hpp"
#include "output/escape.hpp"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <set>
#include <span>
#include <string_view>

namespace drainwatch {
namespace {

constexpr std::string_view kAdvice = "name the library that the target has mapped";

constexpr std::string_view kOpenSsl = "OpenSSL";
constexpr std::string_view kGnuTls = "GnuTLS";
constexpr std::string_view kNss = "NSS";

/// How the name of a library's file begins. (Wheels of Python have a hash in theirs.)
struct KnownFile {
    std::string_view begin;
    std::string_view library;
};
constexpr std::array kFiles{KnownFile{"libssl.so", kOpenSsl}, KnownFile{"libssl-", kOpenSsl},
                            KnownFile{"libgnutls.so", kGnuTls}, KnownFile{"libgnutls-", kGnuTls},
                            KnownFile{"libnss3.so", kNss}};

struct KnownFunction {
    std::string_view name;
    std::string_view library;
    TlsCall call;
};
constexpr std::array kFunctions{
    KnownFunction{"SSL_read", kOpenSsl, TlsCall::read},
    KnownFunction{"SSL_read_ex", kOpenSsl, TlsCall::read},
    // SSL_connect and SSL_accept call it.
    KnownFunction{"SSL_do_handshake", kOpenSsl, TlsCall::handshake},
    KnownFunction{"SSL_peek", kOpenSsl, TlsCall::peek},
    KnownFunction{"SSL_peek_ex", kOpenSsl, TlsCall::peek},
    KnownFunction{"SSL_get_error", kOpenSsl, TlsCall::ask_error},
    KnownFunction{"SSL_free", kOpenSsl, TlsCall::free},
    KnownFunction{"gnutls_record_recv", kGnuTls, TlsCall::read},
    KnownFunction{"gnutls_handshake", kGnuTls, TlsCall::handshake},
    KnownFunction{"gnutls_deinit", kGnuTls, TlsCall::free},
};

bool is_measured(TlsCall call)
{
    return call == TlsCall::read || call == TlsCall::handshake;
}

/// "SSL_read, SSL_do_handshake": those of the functions whose calls are measured.
template <typename Functions>
std::string measured_names(const Functions& functions)
{
    std::vector<std::string_view> names;
    for (const auto& function : functions) {
        if (is_measured(function.call)) {
            names.push_back(function.name);
        }
    }
    return fmt::format("{}", fmt::join(names, ", "));
}

std::optional<FileId> id_of(int fd)
{
    struct stat status {};
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        return std::nullopt;
    }
    return FileId{status.st_dev, status.st_ino};
}

File open_for_reading(const std::string& path)
{
    return File(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
}

/// The mapping leads to the very file, in whatever mount namespace, even if it was deleted since;
/// the path does where the mapping may not be followed.
std::string reachable_file(std::uint32_t tid, const Mapping& mapping)
{
    std::string file = fmt::format("/proc/{}/map_files/{:x}-{:x}", tid, mapping.begin, mapping.end);
    if (access(file.c_str(), R_OK) != 0) {
        file = fmt::format("/proc/{}/root{}", tid, mapping.path);
    }
    return file;
}

std::optional<std::string_view> library_of_file(std::string_view path)
{
    const std::string_view file = path.substr(path.rfind('/') + 1);
    for (const KnownFile& known : kFiles) {
        if (file.starts_with(known.begin) && file.find(".so") != std::string_view::npos) {
            return known.library;
        }
    }
    return std::nullopt;
}

}  // namespace

std::string TlsLibrary::measured_calls() const
{
    return measured_names(functions);
}

std::vector<TlsLibrary> tls_libraries_in(int fd)
{
    std::vector<std::string_view> names;
    names.reserve(kFunctions.size());
    for (const KnownFunction& known : kFunctions) {
        names.push_back(known.name);
    }
    const ElfFunctions found = find_functions(fd, names);
    std::vector<TlsLibrary> libraries;
    for (const std::string_view name : {kOpenSsl, kGnuTls}) {
        TlsLibrary library;
        library.name = name;
        for (const KnownFunction& known : kFunctions) {
            const auto offset = found.offsets.find(std::string(known.name));
            if (known.library == name && offset != found.offsets.end()) {
                library.functions.push_back({known.call, std::string(known.name), offset->second});
            }
        }
        // Registers are read as this architecture passes arguments.
        if (found.machine == EM_X86_64 && !library.measured_calls().empty()) {
            libraries.push_back(std::move(library));
        }
    }
    return libraries;
}

std::optional<TlsLibrary> tls_library_of_line(const std::string& line)
{
    const std::size_t path = line.find('/');
    if (path == std::string::npos) {
        return std::nullopt;
    }
    const auto name = library_of_file(line);
    if (!name) {
        return std::nullopt;
    }
    TlsLibrary library;
    library.name = *name;
    library.path = line.substr(path);
    return library;
}

Result<TlsLibraries> TlsLibraries::only(const std::string& path)
{
    const File file = open_for_reading(path);
    if (!file) {
        return tl::unexpected(
            system_error("read", "--tls-library " + escape(path), errno, kAdvice));
    }
    const auto id = id_of(file.get());
    TlsLibraries libraries;
    if (!id || libraries.look_into(file.get(), *id).empty()) {
        return fail(
            fmt::format("--tls-library {} has none of the functions that can be traced ({}); {}",
                        escape(path), measured_names(kFunctions), kAdvice));
    }
    libraries.only_ = id;
    return libraries;
}

const std::vector<TlsLibrary>& TlsLibraries::look_into(int fd, FileId id)
{
    const auto known = known_.find(id);
    return known != known_.end() ? known->second
                                 : known_.emplace(id, tls_libraries_in(fd)).first->second;
}

std::vector<TlsLibrary> TlsLibraries::mapped(std::uint32_t pid)
{
    std::vector<TlsLibrary> libraries;
    std::set<std::string> seen;
    const ProcessCode code = read_code(pid);
    for (const Mapping& mapping : code.mappings) {
        const auto name = library_of_file(mapping.path);
        if ((!name && !only_) || !mapping.path.starts_with('/') ||
            !seen.insert(mapping.path).second) {
            continue;
        }
        const std::string path = reachable_file(code.tid, mapping);
        const File file = open_for_reading(path);
        const auto id = file ? id_of(file.get()) : std::nullopt;
        if (only_ && id != only_) {
            continue;
        }
        std::vector<TlsLibrary> inside;
        if (id) {
            inside = look_into(file.get(), *id);
        }
        if (inside.empty()) {
            TlsLibrary library;
            library.name = *name;
            library.why_not = !id             ? "it cannot be opened from here"
                              : *name == kNss ? "its calls cannot be traced"
                                              : "it has none of the functions that can be traced";
            inside.push_back(std::move(library));
        }
        for (TlsLibrary& library : inside) {
            library.path = mapping.path;
            library.file = path;
            library.id = id.value_or(FileId{});
            libraries.push_back(std::move(library));
        }
    }
    return libraries;
}

std::vector<TlsLibrary> TlsLibraries::linked_in(std::uint32_t pid)
{
    const std::string path = fmt::format("/proc/{}/exe", pid);
    const File file = open_for_reading(path);
    const auto id = file ? id_of(file.get()) : std::nullopt;
    if (!id) {
        return {};
    }
    auto libraries = look_into(file.get(), *id);
    std::array<char, PATH_MAX> name{};
    const ssize_t length = readlink(path.c_str(), name.data(), name.size());
    for (TlsLibrary& library : libraries) {
        library.path.assign(name.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
        library.file = path;
        library.id = *id;
    }
    return libraries;
}

std::vector<TlsLibrary> TlsLibraries::of(std::uint32_t pid)
{
    auto libraries = mapped(pid);
    return libraries.empty() && !only_ ? linked_in(pid) : libraries;
}

bool kernel_has_uprobes()
{
    return access("/sys/bus/event_source/devices/uprobe/type", R_OK) == 0;
}

}  // namespace drainwatch
