#pragma once

#include "host/file.hpp"

#include <sys/types.h>
#include <cstdint>
#include <string>
#include <vector>

namespace drainwatch::bench {

/// What the kernel has counted of a BPF program, while statistics were on.
struct RunCounters {
    std::uint64_t runs = 0;
    std::uint64_t run_ns = 0;
};

/// A BPF program on a tracepoint. Holding it does not keep it attached.
struct HookedProgram {
    std::string tracepoint;
    std::string name;  ///< as the kernel has it: the first 15 bytes
    File program;

    [[nodiscard]] RunCounters counters() const;
};

/// Attaches them once more; closing the files takes them off again. Both take a millisecond or two.
[[nodiscard]] std::vector<File> attach(const std::vector<HookedProgram>& programs);

/// Those that a process holds attached to tracepoints, found through its descriptors. Throws if
/// the process or a program of it cannot be looked at.
[[nodiscard]] std::vector<HookedProgram> programs_of(pid_t pid);

/// While it lives, the kernel counts runs and their time.
[[nodiscard]] File count_runs();

}  // namespace drainwatch::bench
