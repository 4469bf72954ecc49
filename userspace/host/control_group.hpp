#pragma once

#include <cstdint>
#include <string>
#include <vector>

/// What control groups do to a process, versions 1 and 2 (cgroups(7)). Of one that lies outside of
/// our own cgroup namespace, nothing is known.
namespace drainwatch::proc {

/// How often a group's CPU time was measured against its quota, and how often it had used that up.
struct QuotaPeriods {
    std::string group;  ///< folder
    std::uint64_t periods = 0;
    std::uint64_t throttled = 0;

    bool operator==(const QuotaPeriods&) const = default;
};
/// Of the process's group and of those above it, as far as they have a quota.
[[nodiscard]] std::vector<QuotaPeriods> quota_periods(std::uint32_t pid);

/// Its group, or one above it, is frozen.
[[nodiscard]] bool is_frozen(std::uint32_t pid);

}  // namespace drainwatch::proc
