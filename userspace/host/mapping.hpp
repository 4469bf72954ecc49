#pragma once

#include "host/file.hpp"

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace drainwatch {

/// A part of a process's memory that is a file's.
struct Mapping {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::uint64_t offset = 0;  ///< in the file
    std::uint64_t device = 0;  ///< as makedev() has it
    std::uint64_t inode = 0;   ///< 0 where it is no file
    std::string path;          ///< as /proc/<pid>/maps has it: "[vdso]", "" where it is no file

    bool operator==(const Mapping&) const = default;
    [[nodiscard]] bool has(std::uint64_t address) const
    {
        return address >= begin && address < end;
    }
    /// Subvolumes of one file system may number their files alike: the path tells them apart.
    [[nodiscard]] bool same_file(const Mapping& other) const
    {
        return device == other.device && inode == other.inode && path == other.path;
    }
    /// "libfoo.so.1"
    [[nodiscard]] std::string file_name() const { return path.substr(path.rfind('/') + 1); }
};

/// The one that has the address, or null.
[[nodiscard]] const Mapping* mapping_at(const std::vector<Mapping>& mappings,
                                        std::uint64_t address);

/// Of the lines of /proc/<pid>/maps, those that can hold code.
[[nodiscard]] std::vector<Mapping> parse_maps(std::string_view text);

constexpr std::uint64_t kNoDeadline = std::numeric_limits<std::uint64_t>::max();

/// What of a process's memory can hold code, as this thread of it tells: its first one may have
/// ended, and then tells nothing. None if the thread has ended or may not be looked at; nothing if
/// that could not be read before the deadline, by CLOCK_MONOTONIC. It waits for the process's
/// memory lock, so not of a thread in state D: what it hangs in may hold that lock.
[[nodiscard]] std::optional<std::vector<Mapping>> read_code(
    std::uint32_t pid, std::uint32_t tid, std::uint64_t deadline_ns = kNoDeadline);

/// By one of its threads.
struct ProcessCode {
    std::uint32_t tid = 0;
    std::vector<Mapping> mappings;
};
[[nodiscard]] ProcessCode read_code(std::uint32_t pid);

/// The very file that is mapped, in whatever mount namespace, or no file at all: never another one
/// that has its path by now. One that was deleted is found with CAP_CHECKPOINT_RESTORE.
[[nodiscard]] File open_mapping(std::uint32_t tid, const Mapping& mapping);

}  // namespace drainwatch
