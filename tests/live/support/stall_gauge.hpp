#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace drainwatch::live {

/// Sees when a CPU of this machine stands still because its host has taken it away: a thread on
/// each, before all others, that wakes every millisecond and notes when it comes late.
class StallGauge {
public:
    StallGauge();
    ~StallGauge();
    StallGauge(const StallGauge&) = delete;
    StallGauge& operator=(const StallGauge&) = delete;

    /// How much of this time some CPU stood still, the one that did so longest. CLOCK_REALTIME.
    [[nodiscard]] std::uint64_t stalled_ns(std::uint64_t from_ns, std::uint64_t to_ns);

private:
    struct Stall {
        std::uint64_t begin_ns;
        std::uint64_t end_ns;
    };

    void watch(int cpu);

    std::atomic<bool> done_ = false;
    std::mutex mutex_;
    std::vector<Stall> stalls_;
    std::vector<std::thread> threads_;
};

}  // namespace drainwatch::live
