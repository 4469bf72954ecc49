#pragma once

#include "drainwatch/result.hpp"
#include "host/file.hpp"
#include "poll/polled_socket.hpp"
#include "poll/socket_table.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace drainwatch {

/// How many TCP sockets a network namespace has, from /proc/net/sockstat: costs 2 us, where a look
/// through them costs milliseconds.
class SocketCount {
public:
    SocketCount() = default;
    /// Of the namespace in which this process lives.
    explicit SocketCount(std::uint32_t pid);

    /// More than at the last call? True if it cannot be known.
    [[nodiscard]] bool has_grown();

private:
    File v4_;
    File v6_;
    std::uint64_t last_ = 0;
};

/// A network namespace that is polled.
struct Namespace {
    std::unique_ptr<SocketTable> table;
    std::string way;  ///< how its sockets are asked for: "sock_diag", ...
    bool tells_windows = false;
    SocketCount count;
    WindowRules rules;
};

/// Ways to ask for sockets that can be left out (`--without`), so that the next one is taken.
[[nodiscard]] std::vector<std::string> table_names();

/// Opens the namespace in which this process lives, in the best way that works there.
[[nodiscard]] Result<Namespace> open_namespace(std::uint32_t pid,
                                               const std::vector<std::string>& without);

}  // namespace drainwatch
