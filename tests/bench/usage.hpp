#pragma once

#include <sys/types.h>
#include <cstdint>

/// What processes and the kernel use, from /proc.
namespace drainwatch::bench {

/// CPU that a process and all that descend from it have taken, in user and kernel mode, ended
/// children included that were waited for.
[[nodiscard]] double cpu_seconds_of_tree(pid_t pid);

/// Resident memory of a process, in bytes. `own` is what it does not share: no map of a BPF
/// program, no page of the executable.
struct Resident {
    std::uint64_t all = 0;
    std::uint64_t own = 0;
};
[[nodiscard]] Resident resident_bytes(pid_t pid);

/// What the kernel says that the BPF maps behind a process's descriptors take, in bytes.
[[nodiscard]] std::uint64_t map_bytes(pid_t pid);

/// Memory that the kernel has taken for itself, in bytes: slabs, vmalloc, per-CPU.
[[nodiscard]] std::uint64_t kernel_bytes();

}  // namespace drainwatch::bench
