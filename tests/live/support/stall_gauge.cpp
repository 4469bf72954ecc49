#include "support/stall_gauge.hpp"

#include "support/control.hpp"
#include "support/target.hpp"

#include <pthread.h>
#include <sched.h>
#include <chrono>

namespace drainwatch::live {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kLateNs = 500'000;

}  // namespace

StallGauge::StallGauge()
{
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    sched_getaffinity(0, sizeof(allowed), &allowed);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &allowed)) {
            threads_.emplace_back([this, cpu] { watch(cpu); });
        }
    }
}

StallGauge::~StallGauge()
{
    done_ = true;
    for (std::thread& thread : threads_) {
        thread.join();
    }
}

void StallGauge::watch(int cpu)
{
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(cpu, &only);
    sched_setaffinity(0, sizeof(only), &only);
    const sched_param first{.sched_priority = 1};
    pthread_setschedparam(pthread_self(), SCHED_FIFO, &first);
    while (!done_) {
        const std::uint64_t due_ns = realtime_ns() + 1'000'000;
        nap(1ms);
        const std::uint64_t now_ns = realtime_ns();
        if (now_ns > due_ns + kLateNs) {
            const std::lock_guard lock(mutex_);
            // It may have begun any time since the thread went to sleep.
            stalls_.push_back({due_ns - 1'000'000, now_ns});
        }
    }
}

std::vector<HostStall> StallGauge::stalls()
{
    const std::lock_guard lock(mutex_);
    return stalls_;
}

}  // namespace drainwatch::live
