#pragma once

#include "host/file.hpp"

#include <cstdint>
#include <string>
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
    [[nodiscard]] bool same_file(const Mapping& other) const
    {
        return device == other.device && inode == other.inode;
    }
    /// "libfoo.so.1"
    [[nodiscard]] std::string file_name() const { return path.substr(path.rfind('/') + 1); }
};

/// Of the lines of /proc/<pid>/maps, those that can hold code.
[[nodiscard]] std::vector<Mapping> parse_maps(const std::string& text);

/// Of a process; none if it has ended, or may not be looked at.
[[nodiscard]] std::vector<Mapping> read_maps(std::uint32_t pid);

/// The very file that is mapped, in whatever mount namespace, or no file at all: never another one
/// that has its path by now.
[[nodiscard]] File open_mapping(std::uint32_t pid, const Mapping& mapping);

}  // namespace drainwatch
