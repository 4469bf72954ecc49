#pragma once

#include "cause/facts.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace drainwatch {

/// A socket as its process knows it.
struct SocketInProcess {
    std::vector<std::uint32_t> fds;  ///< there may be several, or none: it was not accepted yet
    std::optional<std::uint64_t> inode;
};

/// Which calls of poll, select and epoll ask for data of one socket. Reads the memory of the
/// process and its epoll sets, each set once.
class PollMembers {
public:
    explicit PollMembers(SocketInProcess socket) : socket_(std::move(socket)) {}

    [[nodiscard]] const SocketInProcess& socket() const { return socket_; }

    /// Does the thread, in this call, ask for it, too? Nothing if memory or set do not tell.
    [[nodiscard]] std::optional<bool> asked_for(std::uint32_t tid, const CallFacts& call);

private:
    [[nodiscard]] std::optional<bool> in_epoll_set(std::uint32_t tid, std::uint32_t set, int depth);
    [[nodiscard]] std::optional<bool> in_array(std::uint32_t tid, const CallFacts& call) const;
    [[nodiscard]] std::optional<bool> in_bits(std::uint32_t tid, const CallFacts& call) const;
    [[nodiscard]] bool is_mine(std::uint32_t fd) const;

    SocketInProcess socket_;
    std::map<std::uint32_t, std::optional<bool>> sets_;  ///< what was found there
};

}  // namespace drainwatch
