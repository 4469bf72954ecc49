#pragma once

#include "drainwatch/result.hpp"
#include "poll/socket_state.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace drainwatch {

/// The kernel's table of TCP sockets in one network namespace, and a way to ask it.
class SocketTable {
public:
    SocketTable() = default;
    virtual ~SocketTable() = default;
    SocketTable(const SocketTable&) = delete;
    SocketTable& operator=(const SocketTable&) = delete;

    /// What `sockets` are like now, in the same order; nothing for one that does not exist any
    /// more. Costs what is asked for, where the kernel has a way to ask for single sockets.
    [[nodiscard]] virtual Result<std::vector<std::optional<SocketState>>> query(
        const std::vector<SocketState>& sockets) = 0;

    /// Calls `found` for every connection with one of `ports` at either end (none: every one), and
    /// for every listener. Costs in proportion to the namespace's sockets.
    [[nodiscard]] virtual Result<void> list(
        const std::vector<std::uint16_t>& ports,
        const std::function<void(const SocketState&)>& found) = 0;

    /// Answers that were of unknown shape.
    [[nodiscard]] virtual std::uint64_t undecoded() const = 0;
};

}  // namespace drainwatch
