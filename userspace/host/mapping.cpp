#include "host/mapping.hpp"

#include "host/clock.hpp"
#include "host/text_file.hpp"
#include "host/threads.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <charconv>

namespace drainwatch {
namespace {

/// Of a process whose first thread has ended, so many are tried.
constexpr std::size_t kMostThreads = 16;
/// Is as much as 65,530 mappings with long paths, which the kernel does not allow more of.
constexpr std::size_t kMostBytes = std::size_t{64} << 20;

bool take_char(std::string_view& rest, char wanted)
{
    const bool there = rest.starts_with(wanted);
    rest.remove_prefix(there ? 1 : 0);
    return there;
}

template <typename Number>
bool take_number(std::string_view& rest, Number& number, int base)
{
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number, base);
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    return error == std::errc{};
}

struct MapsLine {
    Mapping mapping;
    bool code = false;
};

/// "55d0c8a00000-55d0c8a21000 r-xp 00002000 fe:01 1234    /usr/bin/cat"
std::optional<MapsLine> parse_line(std::string_view rest)
{
    constexpr std::size_t kRights = 4;
    MapsLine line;
    Mapping& mapping = line.mapping;
    if (!take_number(rest, mapping.begin, 16) || !take_char(rest, '-') ||
        !take_number(rest, mapping.end, 16) || !take_char(rest, ' ') || rest.size() < kRights) {
        return std::nullopt;
    }
    line.code = rest[2] == 'x';
    rest.remove_prefix(kRights);
    unsigned device_major = 0;
    unsigned device_minor = 0;
    if (!take_char(rest, ' ') || !take_number(rest, mapping.offset, 16) || !take_char(rest, ' ') ||
        !take_number(rest, device_major, 16) || !take_char(rest, ':') ||
        !take_number(rest, device_minor, 16) || !take_char(rest, ' ') ||
        !take_number(rest, mapping.inode, 10)) {
        return std::nullopt;
    }
    mapping.device = makedev(device_major, device_minor);
    rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
    mapping.path = rest;
    return line;
}

/// take(line) for each, without its end.
template <typename Take>
void for_each_line(std::string_view text, Take&& take)
{
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        take(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
}

/// As /proc/self/maps tells device and inode. Those of stat() differ from them on btrfs, and on
/// overlayfs before 6.8.
bool is_mapped_as(int fd, const Mapping& mapping)
{
    constexpr std::size_t kBytes = 1;
    void* page = mmap(nullptr, kBytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (page == MAP_FAILED) {
        return false;
    }
    bool same = false;
    for_each_line(read_text("/proc/self/maps"), [&](std::string_view line) {
        const auto own = parse_line(line);
        if (own && own->mapping.has(reinterpret_cast<std::uint64_t>(page))) {
            same = own->mapping.device == mapping.device && own->mapping.inode == mapping.inode;
        }
    });
    munmap(page, kBytes);
    return same;
}

File open_if_same(const std::string& path, const Mapping& mapping)
{
    File file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat status {};
    if (!file || fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
        return File();
    }
    const bool same = status.st_dev == mapping.device && status.st_ino == mapping.inode;
    return same || is_mapped_as(file.get(), mapping) ? std::move(file) : File();
}

}  // namespace

const Mapping* mapping_at(const std::vector<Mapping>& mappings, std::uint64_t address)
{
    const auto found = std::find_if(mappings.begin(), mappings.end(),
                                    [&](const Mapping& mapping) { return mapping.has(address); });
    return found != mappings.end() ? &*found : nullptr;
}

std::vector<Mapping> parse_maps(std::string_view text)
{
    std::vector<Mapping> mappings;
    for_each_line(text, [&](std::string_view line) {
        if (auto parsed = parse_line(line); parsed && parsed->code) {
            mappings.push_back(std::move(parsed->mapping));
        }
    });
    return mappings;
}

std::optional<std::vector<Mapping>> read_code(std::uint32_t pid, std::uint32_t tid,
                                              std::uint64_t deadline_ns)
{
    const File file(
        open(fmt::format("/proc/{}/task/{}/maps", pid, tid).c_str(), O_RDONLY | O_CLOEXEC));
    std::string text;
    std::vector<char> chunk(std::size_t{64} << 10);
    while (file && text.size() < kMostBytes) {
        // A page at a time, mostly.
        const ssize_t length = read(file.get(), chunk.data(), chunk.size());
        if (length == 0 || (length < 0 && errno != EINTR)) {
            break;
        }
        text.append(chunk.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
        if (monotonic_ns() >= deadline_ns) {
            return std::nullopt;
        }
    }
    return parse_maps(text);
}

ProcessCode read_code(std::uint32_t pid)
{
    ProcessCode code{pid, *read_code(pid, pid)};
    if (!code.mappings.empty()) {
        return code;
    }
    for (const std::uint32_t tid : proc::thread_ids(pid, kMostThreads)) {
        if (auto mappings = *read_code(pid, tid); !mappings.empty()) {
            return {tid, std::move(mappings)};
        }
    }
    return code;
}

File open_mapping(std::uint32_t tid, const Mapping& mapping)
{
    if (!mapping.path.starts_with('/')) {
        return File();
    }
    // /proc/<pid>/task/<tid> has no map_files.
    File file = open_if_same(
        fmt::format("/proc/{}/map_files/{:x}-{:x}", tid, mapping.begin, mapping.end), mapping);
    return file ? std::move(file)
                : open_if_same(fmt::format("/proc/{}/root{}", tid, mapping.path), mapping);
}

}  // namespace drainwatch
