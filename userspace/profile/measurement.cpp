#include "profile/measurement.hpp"

#include <algorithm>

namespace drainwatch {

std::uint64_t Waiting::sleeping_ns() const
{
    std::uint64_t sum = 0;
    for (const auto& [call, ns] : asleep_ns) {
        sum += ns;
    }
    return sum;
}

std::uint64_t Waiting::total_ns() const
{
    return running_ns + runnable_ns + unknown_ns + sleeping_ns();
}

void Waiting::add(const Waiting& other)
{
    running_ns += other.running_ns;
    runnable_ns += other.runnable_ns;
    unknown_ns += other.unknown_ns;
    for (const auto& [call, ns] : other.asleep_ns) {
        asleep_ns[call] += ns;
    }
}

void Waiting::add(std::uint32_t state, std::int32_t call, std::uint64_t ns)
{
    switch (state) {
        case DW_THREAD_RUNNING: running_ns += ns; break;
        case DW_THREAD_RUNNABLE: runnable_ns += ns; break;
        case DW_THREAD_SLEEPING: asleep_ns[call] += ns; break;
        default: unknown_ns += ns; break;
    }
}

void Unread::add(const Unread& other)
{
    sockets += other.sockets;
    bytes += other.bytes;
    oldest_ns = std::max(oldest_ns, other.oldest_ns);
}

void Measured::add(const Measured& other)
{
    for (std::size_t i = 0; i < distributions.size(); i++) {
        distributions[i].add(other.distributions[i]);
    }
    waiting.add(other.waiting);
    unread.add(other.unread);
}

}  // namespace drainwatch
