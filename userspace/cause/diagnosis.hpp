#pragma once

#include "cause/facts.hpp"

#include <string>
#include <string_view>

namespace drainwatch {

/// What the thread that should read is doing.
enum class ThreadState {
    stopped,   ///< by a signal or a debugger
    sleeping,  ///< in a system call
    polling,   ///< waits in poll, select or epoll, or asks there over and over, and does not read
    running,   ///< with something else
    runnable,  ///< and has no CPU
    disk,      ///< waits for the kernel, uninterruptibly
    zombie,
    exited,  ///< there is no such thread any more
};

[[nodiscard]] std::string_view to_string(ThreadState state);

struct Cause {
    CauseFacts facts;
    ThreadState state = ThreadState::sleeping;
    std::string sentence;  ///< plain, without its end; names are escaped
};

/// Why the process does not read. Pure.
[[nodiscard]] Cause diagnose(CauseFacts facts);

}  // namespace drainwatch
