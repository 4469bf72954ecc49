#pragma once

#include <sys/types.h>
#include <chrono>
#include <filesystem>

namespace drainwatch::live {

/// A control group of its own in which processes get so much CPU time in each period; cgroup v1 or
/// v2. Gone at the end.
class CpuQuota {
public:
    CpuQuota(std::chrono::microseconds quota, std::chrono::microseconds period);
    ~CpuQuota();
    CpuQuota(const CpuQuota&) = delete;
    CpuQuota& operator=(const CpuQuota&) = delete;

    /// False where no such group can be made.
    [[nodiscard]] bool works() const { return works_; }
    [[nodiscard]] bool add(pid_t pid) const;

private:
    std::filesystem::path folder_;
    bool works_ = false;
};

}  // namespace drainwatch::live
