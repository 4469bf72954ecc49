#pragma once

#include "cause/facts.hpp"

#include <optional>
#include <string_view>

namespace drainwatch {

/// What a thread wants of a system call that keeps it.
enum class Purpose {
    sleep,
    lock,  ///< of memory
    file_lock,
    poll,  ///< for whichever of some descriptors
    read,
    write,
    accept,
    connect,
    child,  ///< the end of another process
    other,
};

struct WaitingCall {
    Purpose purpose = Purpose::other;
    /// Of the descriptor that it waits for; for Purpose::poll that of an epoll set.
    std::optional<std::uint32_t> fd;
};

/// By the number of the call and its arguments (the kernel's system call tables for x86).
[[nodiscard]] WaitingCall waiting_in(const CallFacts& call);

/// Is that a call that waits for whichever of some descriptors?
[[nodiscard]] bool is_poll(std::int32_t call);

}  // namespace drainwatch
