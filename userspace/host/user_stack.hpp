#pragma once

#include "cause/thread_view.hpp"
#include "host/symbols.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace drainwatch {

struct UserStack {
    std::vector<std::string> frames;  ///< names of places, innermost first
    std::string
        incomplete;  ///< why it does not go back to the thread's first function; empty: it does
};

/// The user stack of a thread of another process that sleeps. Read from its memory, by the unwind
/// tables of the files that are mapped: nothing stops it or writes to it. 64 frames and 50 ms at
/// most. A thread that wakes up meanwhile may have any stack: the caller has to find out.
[[nodiscard]] UserStack read_user_stack(std::uint32_t pid, std::uint32_t tid,
                                        const UserRegisters& registers, Symbols& symbols);

}  // namespace drainwatch
