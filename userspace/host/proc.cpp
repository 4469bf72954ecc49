#include "host/proc.hpp"

#include "host/file.hpp"
#include "host/text_file.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string_view>

namespace drainwatch::proc {
namespace {

/// The number in a link such as "socket:[12345]".
std::optional<std::uint64_t> number_in_link(int directory, const char* path,
                                            std::string_view prefix)
{
    std::array<char, 64> target{};
    const ssize_t length = readlinkat(directory, path, target.data(), target.size());
    if (length <= 0) {
        return std::nullopt;
    }
    std::string_view text(target.data(), static_cast<std::size_t>(length));
    if (!text.starts_with(prefix)) {
        return std::nullopt;
    }
    text.remove_prefix(prefix.size());
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.begin(), text.end(), number);
    if (error != std::errc{} || end == text.end() || *end != ']') {
        return std::nullopt;
    }
    return number;
}

/// Enough of a file that is one line.
constexpr std::size_t kLineBytes = 512;

struct DirectoryCloser {
    void operator()(DIR* directory) const { closedir(directory); }
};
using Directory = std::unique_ptr<DIR, DirectoryCloser>;

std::string descriptor_directory(std::uint32_t pid)
{
    return fmt::format("/proc/{}/fd", pid);
}

}  // namespace

std::optional<std::string> comm(std::uint32_t pid)
{
    // A name may hold any byte, a newline too: the file ends with one of its own.
    std::string text = read_text(fmt::format("/proc/{}/comm", pid), kLineBytes);
    if (text.empty()) {
        return std::nullopt;
    }
    if (text.back() == '\n') {
        text.pop_back();
    }
    return text;
}

std::optional<Identity> identity(std::uint32_t pid)
{
    // "1234 (any name) S 1 ...": the name may hold any byte, a bracket too.
    const std::string text = read_text(fmt::format("/proc/{}/stat", pid), kLineBytes);
    const auto begin = text.find('(');
    const auto end = text.rfind(')');
    if (begin == std::string::npos || end == std::string::npos) {
        return std::nullopt;
    }
    Identity found;
    found.comm = text.substr(begin + 1, end - begin - 1);
    std::istringstream rest(text.substr(end + 1));
    std::string skipped;
    rest >> found.state >> found.parent;
    for (int field = 5; field < 20; field++) {  // from the process group up to num_threads
        rest >> skipped;
    }
    rest >> found.threads;
    for (int field = 21; field < 28; field++) {  // from itrealvalue up to endcode
        rest >> skipped;
    }
    rest >> found.start_stack;
    // The first thread may end before the others do.
    found.zombie = found.state == 'Z' && found.threads <= 1;
    return rest ? std::optional(found) : std::nullopt;
}

std::optional<std::uint32_t> thread_group(std::uint32_t tid)
{
    std::ifstream file(fmt::format("/proc/{}/status", tid));
    for (std::string line; std::getline(file, line);) {
        constexpr std::string_view kKey = "Tgid:\t";
        std::uint32_t tgid = 0;
        const char* end = line.data() + line.size();
        if (line.starts_with(kKey) &&
            std::from_chars(line.data() + kKey.size(), end, tgid).ec == std::errc{}) {
            return tgid;
        }
    }
    return std::nullopt;
}

std::optional<std::int32_t> system_call(std::uint32_t tid)
{
    // "232 0x5 ...", "-1 0x7ffd... 0x..." outside of one, "running"
    const std::string text = read_text(fmt::format("/proc/{}/syscall", tid), kLineBytes);
    std::int32_t number = -1;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number >= 0 ? std::optional(number) : std::nullopt;
}

std::vector<std::uint32_t> pids()
{
    std::vector<std::uint32_t> found;
    std::error_code error;
    for (std::filesystem::directory_iterator it("/proc", error), end; !error && it != end;
         it.increment(error)) {
        const std::string name = it->path().filename().string();
        std::uint32_t pid = 0;
        const auto [rest, bad] = std::from_chars(name.data(), name.data() + name.size(), pid);
        if (bad == std::errc{} && rest == name.data() + name.size()) {
            found.push_back(pid);
        }
    }
    return found;
}

std::optional<std::uint64_t> socket_inode(std::uint32_t pid, std::uint32_t fd)
{
    const std::string path = fmt::format("{}/{}", descriptor_directory(pid), fd);
    return number_in_link(AT_FDCWD, path.c_str(), "socket:[");
}

std::optional<std::vector<SocketDescriptor>> socket_descriptors(std::uint32_t pid)
{
    const Directory directory(opendir(descriptor_directory(pid).c_str()));
    if (!directory) {
        return std::nullopt;
    }
    std::vector<SocketDescriptor> found;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is our own, glibc locks it
    while (const dirent* entry = readdir(directory.get())) {
        const std::string_view name(entry->d_name);
        std::uint32_t fd = 0;
        if (std::from_chars(name.data(), name.data() + name.size(), fd).ec != std::errc{}) {
            continue;  // "." and ".."
        }
        if (const auto inode = number_in_link(dirfd(directory.get()), entry->d_name, "socket:[")) {
            found.push_back({fd, *inode});
        }
    }
    return found;
}

bool descriptors_can_be_read(std::uint32_t pid)
{
    const Directory directory(opendir(descriptor_directory(pid).c_str()));
    return directory || errno != EACCES;
}

std::string net_namespace_path(std::uint32_t pid)
{
    return fmt::format("/proc/{}/ns/net", pid);
}

std::optional<std::uint32_t> net_namespace(std::uint32_t pid)
{
    const auto inode = number_in_link(AT_FDCWD, net_namespace_path(pid).c_str(), "net:[");
    return inode ? std::optional(static_cast<std::uint32_t>(*inode)) : std::nullopt;
}

bool pids_are_the_kernels()
{
    constexpr std::uint64_t kFirst = 0xEFFFFFFC;  // include/linux/proc_ns.h: PROC_PID_INIT_INO
    const auto inode = number_in_link(AT_FDCWD, "/proc/self/ns/pid", "pid:[");
    return !inode || *inode == kFirst;
}

}  // namespace drainwatch::proc
