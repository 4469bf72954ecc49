#pragma once

#include "drainwatch/sample.hpp"

#include <chrono>
#include <cstdint>
#include <optional>

namespace drainwatch {

/// The other end of the TCP or UDP socket that this thread has as `fd`, whether it is watched or
/// not. Nothing if it is not connected, is of another kind, or was not found in this time: the
/// kernel's table has to be read line by line, 1 to 2 microseconds each.
[[nodiscard]] std::optional<Endpoint> socket_peer(std::uint32_t tid, std::uint32_t fd,
                                                  std::uint64_t inode,
                                                  std::chrono::nanoseconds at_most);

}  // namespace drainwatch
