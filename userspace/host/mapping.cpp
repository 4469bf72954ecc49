#include "host/mapping.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>

namespace drainwatch {
namespace {

struct MapsLine {
    Mapping mapping;
    bool code = false;
};

std::optional<MapsLine> parse_line(const std::string& line)
{
    // "55d0c8a00000-55d0c8a21000 r-xp 00002000 fe:01 1234    /usr/bin/cat"
    std::istringstream fields(line);
    Mapping mapping;
    char dash = 0;
    char colon = 0;
    std::string rights;
    unsigned device_major = 0;
    unsigned device_minor = 0;
    fields >> std::hex >> mapping.begin >> dash >> mapping.end >> rights >> mapping.offset >>
        device_major >> colon >> device_minor >> std::dec >> mapping.inode;
    if (!fields) {
        return std::nullopt;
    }
    mapping.device = makedev(device_major, device_minor);
    std::getline(fields >> std::ws, mapping.path);
    return MapsLine{std::move(mapping), rights.find('x') != std::string::npos};
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
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        const auto own = parse_line(line);
        if (own && own->mapping.has(reinterpret_cast<std::uint64_t>(page))) {
            same = own->mapping.same_file(mapping);
        }
    }
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

std::vector<Mapping> parse_maps(const std::string& text)
{
    std::vector<Mapping> mappings;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        if (auto parsed = parse_line(line); parsed && parsed->code) {
            mappings.push_back(std::move(parsed->mapping));
        }
    }
    return mappings;
}

std::vector<Mapping> read_maps(std::uint32_t pid)
{
    std::ifstream file(fmt::format("/proc/{}/maps", pid));
    return parse_maps({std::istreambuf_iterator<char>(file), {}});
}

File open_mapping(std::uint32_t pid, const Mapping& mapping)
{
    if (!mapping.path.starts_with('/')) {
        return File();
    }
    // Leads to the file even if it was deleted since; wants CAP_CHECKPOINT_RESTORE.
    File file = open_if_same(
        fmt::format("/proc/{}/map_files/{:x}-{:x}", pid, mapping.begin, mapping.end), mapping);
    return file ? std::move(file)
                : open_if_same(fmt::format("/proc/{}/root{}", pid, mapping.path), mapping);
}

}  // namespace drainwatch
