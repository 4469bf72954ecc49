#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace drainwatch {

/// A time in which a CPU of this machine stood still, because its host had taken it away.
/// CLOCK_REALTIME, nanoseconds.
struct HostStall {
    std::uint64_t begin_ns = 0;
    std::uint64_t end_ns = 0;
};

/// How much of this time some CPU stood still, the one that did so longest.
inline std::uint64_t stalled_ns(const std::vector<HostStall>& stalls, std::uint64_t from_ns,
                                std::uint64_t to_ns)
{
    std::uint64_t longest = 0;
    for (const HostStall& stall : stalls) {
        const std::uint64_t begin = std::max(stall.begin_ns, from_ns);
        const std::uint64_t end = std::min(stall.end_ns, to_ns);
        longest = std::max(longest, end > begin ? end - begin : 0);
    }
    return longest;
}

}  // namespace drainwatch
