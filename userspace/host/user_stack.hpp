#pragma once

#include "host/symbols.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace drainwatch {

/// User registers of a thread, x86-64, as they were when it entered the kernel. Those that a called
/// function keeps may be absent: /proc/<tid>/syscall tells only ip and sp.
struct UserRegisters {
    std::uint64_t ip = 0;
    std::uint64_t sp = 0;
    std::optional<std::uint64_t> bp;
    std::optional<std::uint64_t> bx;
    std::optional<std::uint64_t> r12;
    std::optional<std::uint64_t> r13;
    std::optional<std::uint64_t> r14;
    std::optional<std::uint64_t> r15;
};

struct UserStack {
    /// Names as Symbols::user has them, innermost first.
    std::vector<std::string> frames;
    /// Why more is not known; "" if the thread's first function is there.
    std::string incomplete;
};

/// The stacks of threads of other processes, by the unwind information of their files (.eh_frame).
/// Nothing is guessed: where that does not say who called, the stack ends. The process is only
/// read: it is not stopped, and the caller has to see whether the thread slept all the while.
class UserStacks {
public:
    /// The longest that a stack may take. It can be exceeded by one look into a file.
    static constexpr std::uint64_t kLimitNs = 50'000'000;
    static constexpr std::size_t kMaxFrames = 64;

    explicit UserStacks(Symbols& symbols, std::uint64_t limit_ns = kLimitNs)
        : symbols_(symbols), limit_ns_(limit_ns)
    {}

    /// Wants the right to trace the process, as ptrace(2) defines it, and CAP_CHECKPOINT_RESTORE
    /// for files that have no path any more.
    [[nodiscard]] UserStack of(std::uint32_t pid, std::uint32_t tid,
                               const UserRegisters& registers);

private:
    Symbols& symbols_;
    std::uint64_t limit_ns_;
};

}  // namespace drainwatch
