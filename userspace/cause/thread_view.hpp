#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace drainwatch {

/// Registers of a thread's user side, as it entered the kernel; x86-64. Those that a function must
/// restore are absent where only the first two are known.
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

/// What the kernel's own view of a thread adds to /proc.
struct KernelView {
    bool on_cpu = false;  ///< it runs just now
    std::optional<std::uint64_t>
        arrived_ns;  ///< when it was given a CPU last; the scheduler's clock
    std::optional<std::uint64_t> off_cpu_ns;  ///< since it last ran, if it does not run or wait to
    /// The same of a real-time thread: no longer than this, for it may have run for a part of it.
    std::optional<std::uint64_t> off_cpu_at_most_ns;
    std::optional<std::uint64_t> queued_ns;  ///< since when it waits for a CPU
    std::optional<std::int32_t> last_call;   ///< the system call that it is in, or was in last
    std::uint32_t stop_signal = 0;           ///< 0: none, or not known
    std::optional<UserRegisters> registers;  ///< nothing: it is a 32-bit program
    std::vector<std::string> stack;          ///< in the kernel; empty for one that runs
};

}  // namespace drainwatch
