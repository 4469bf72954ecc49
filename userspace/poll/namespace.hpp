#pragma once

#include "drainwatch/result.hpp"
#include "host/side_threads.hpp"
#include "poll/connection_count.hpp"
#include "poll/polled_socket.hpp"
#include "poll/socket_table.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace drainwatch {

/// A network namespace that is polled.
struct Namespace {
    std::unique_ptr<SocketTable> table;
    std::string way;  ///< how its sockets are asked for: "sock_diag", ...
    bool tells_windows = false;
    ConnectionCount connections;
    WindowRules rules;
    /// Connections that there were then are known; 0: they need not be.
    std::uint64_t all_known_ns = 0;
    bool has_new = false;  ///< there are others since
};

using Namespaces = std::unordered_map<std::uint32_t, Namespace>;  ///< by inode number

/// Ways to ask for sockets that can be left out (`--without`), so that the next one is taken.
[[nodiscard]] std::vector<std::string> table_names();

/// Opens the namespace in which this process lives, in the best way that works there.
/// `threads` ask, and have to outlive it.
[[nodiscard]] Result<Namespace> open_namespace(std::uint32_t pid,
                                               const std::vector<std::string>& without,
                                               SideThreads& threads);

}  // namespace drainwatch
