#pragma once

#include "cause/facts.hpp"

#include <cstdint>
#include <optional>
#include <vector>

namespace drainwatch {

/// A socket as its process knows it.
struct SocketInProcess {
    std::vector<std::uint32_t> fds;  ///< there may be several, or none: it was not accepted yet
    std::optional<std::uint64_t> inode;
};

/// Does the thread, in this call of poll, select or epoll, ask for data of the socket, too? Nothing
/// if the process's memory, or its epoll set, does not tell.
[[nodiscard]] std::optional<bool> polls(std::uint32_t tid, const CallFacts& call,
                                        const SocketInProcess& socket);

}  // namespace drainwatch
