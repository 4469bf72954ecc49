#pragma once

#include <sys/types.h>
#include <cstdint>
#include <set>
#include <string>

namespace drainwatch::live {

/// Ids of BPF programs, maps and links.
struct KernelObjects {
    std::set<std::uint32_t> programs;
    std::set<std::uint32_t> maps;
    std::set<std::uint32_t> links;

    bool operator==(const KernelObjects&) const = default;
};

/// All that the kernel has.
[[nodiscard]] KernelObjects kernel_objects();

/// Those of which this process has a descriptor.
[[nodiscard]] KernelObjects objects_of(pid_t pid);

/// Those that were not there before and of which no process has a descriptor.
[[nodiscard]] KernelObjects left_behind_since(const KernelObjects& before);

[[nodiscard]] std::string to_string(const KernelObjects& objects);

}  // namespace drainwatch::live
