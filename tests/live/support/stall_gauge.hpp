#pragma once

#include "support/stalls.hpp"

#include <atomic>
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

    [[nodiscard]] std::vector<HostStall> stalls();

private:
    void watch(int cpu);

    std::atomic<bool> done_ = false;
    std::mutex mutex_;
    std::vector<HostStall> stalls_;
    std::vector<std::thread> threads_;
};

}  // namespace drainwatch::live
