#pragma once

#include <sys/stat.h>
#include <cstdint>
#include <optional>
#include <tuple>

namespace drainwatch {

/// What a file holds, as far as that can be told without reading it: it can be written again where
/// it is, and its inode be given to another file.
struct FileVersion {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::int64_t bytes = 0;
    std::int64_t changed_ns = 0;  ///< ctime

    bool operator==(const FileVersion&) const = default;
    bool operator<(const FileVersion& other) const
    {
        return std::tie(device, inode, bytes, changed_ns) <
               std::tie(other.device, other.inode, other.bytes, other.changed_ns);
    }
};

[[nodiscard]] inline std::optional<FileVersion> version_of(int fd)
{
    constexpr std::int64_t kNs = 1'000'000'000;
    struct stat status {};
    if (fstat(fd, &status) != 0) {
        return std::nullopt;
    }
    return FileVersion{status.st_dev, status.st_ino, status.st_size,
                       status.st_ctim.tv_sec * kNs + status.st_ctim.tv_nsec};
}

}  // namespace drainwatch
