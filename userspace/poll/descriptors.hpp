#pragma once

#include "drainwatch/source.hpp"

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

namespace drainwatch {

/// Which process holds which socket, by the socket's inode, from /proc/<pid>/fd.
class Descriptors {
public:
    struct Entry {
        std::uint32_t pid = 0;
        std::uint32_t fd = 0;
    };

    /// Walks through the descriptors of these processes; what was known before is forgotten.
    void walk(const std::vector<std::uint32_t>& pids);

    [[nodiscard]] std::optional<Entry> holder(std::uint64_t inode) const;
    /// Is one of the known descriptors still open?
    [[nodiscard]] bool still_held(std::uint64_t inode) const;

    /// Those of the sockets in `cookies`, which maps their inodes to cookies.
    [[nodiscard]] std::vector<Holder> holders(
        const std::unordered_map<std::uint64_t, Cookie>& cookies) const;

private:
    std::unordered_multimap<std::uint64_t, Entry> by_inode_;
};

}  // namespace drainwatch
