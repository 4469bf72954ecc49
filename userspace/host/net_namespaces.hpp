#pragma once

#include "drainwatch/result.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

namespace drainwatch {

/// How to get into a network namespace of which only the inode number is known: by a process that
/// lives in it.
class NetNamespaces {
public:
    /// "/proc/<pid>/ns/net"; nothing if no process lives there.
    [[nodiscard]] std::optional<std::string> path(std::uint32_t netns);

private:
    std::unordered_map<std::uint32_t, std::uint32_t> tenants_;  ///< namespace -> pid
};

/// The calling thread enters the network namespace of this file.
[[nodiscard]] Result<void> enter_net_namespace(const std::string& path);

}  // namespace drainwatch
