#pragma once

#include "cause/thread_view.hpp"
#include "host/symbols.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace drainwatch {

struct UserStack {
    std::vector<std::string> frames;  ///< as Symbols has them, innermost first
    std::string incomplete;           ///< why more is not known; empty: the thread's first function
                                      ///< is there

    /// "rest of the user stack: libfoo.so.1: no unwind information"; empty if nothing is missing.
    [[nodiscard]] std::string missing() const;
};

constexpr std::size_t kMostUserFrames = 64;
constexpr std::uint64_t kUserStackLimitNs = 50'000'000;

/// The user stack of a thread of another process that sleeps. Read from its memory, by the unwind
/// tables (.eh_frame) of the files that are mapped: nothing stops it or writes to it, and nothing
/// is guessed. Where they do not say who called, it ends; where other files are mapped afterwards,
/// it is empty.
///
/// - Not of a thread in state D: its memory and its mappings are read under the lock that what it
///   hangs in may hold, and then we would hang as well. The caller has to see to that.
/// - A thread that wakes up meanwhile may have any stack: the caller has to find out.
/// - It ends when the limit is reached, but for a look into one file: 32 MiB of unwind tables, as
///   much of symbols. To see whether the mappings are the same may take as long again.
/// - It wants the right to trace the process, as ptrace(2) defines it, and CAP_CHECKPOINT_RESTORE
///   for files that have no name any more.
[[nodiscard]] UserStack read_user_stack(std::uint32_t pid, std::uint32_t tid,
                                        const UserRegisters& registers, Symbols& symbols,
                                        std::uint64_t limit_ns = kUserStackLimitNs);

}  // namespace drainwatch
