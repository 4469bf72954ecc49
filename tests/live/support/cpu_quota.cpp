#include "support/cpu_quota.hpp"

#include "support/control.hpp"

#include <unistd.h>
#include <fstream>
#include <string>

namespace drainwatch::live {
namespace {

bool write(const std::filesystem::path& file, const std::string& text)
{
    std::ofstream stream(file);
    stream << text << std::flush;
    return static_cast<bool>(stream);
}

}  // namespace

CpuQuota::CpuQuota(std::chrono::microseconds quota, std::chrono::microseconds period)
{
    namespace fs = std::filesystem;
    const std::string us = std::to_string(quota.count());
    const std::string of_us = std::to_string(period.count());
    const bool v1 = fs::exists("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
    const fs::path root = v1 ? "/sys/fs/cgroup/cpu" : "/sys/fs/cgroup";
    if (!v1) {
        write(root / "cgroup.subtree_control", "+cpu");
    }
    folder_ = root / ("drainwatch-" + std::to_string(getpid()));
    std::error_code error;
    fs::create_directory(folder_, error);
    works_ =
        v1 ? write(folder_ / "cpu.cfs_period_us", of_us) && write(folder_ / "cpu.cfs_quota_us", us)
           : write(folder_ / "cpu.max", us + " " + of_us);
}

CpuQuota::~CpuQuota()
{
    // It can be removed once the last process in it is gone.
    (void)wait_until([&] { return rmdir(folder_.c_str()) == 0; }, std::chrono::seconds(5));
}

bool CpuQuota::add(pid_t pid) const
{
    return write(folder_ / "cgroup.procs", std::to_string(pid));
}

}  // namespace drainwatch::live
