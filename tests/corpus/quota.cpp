#include "corpus/quota.hpp"

#include <sys/stat.h>
#include <unistd.h>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace drainwatch::corpus {
namespace {

void write_to(const std::string& path, const std::string& text)
{
    std::ofstream file(path);
    file << text << std::flush;
    if (!file) {
        throw std::runtime_error("cannot write " + text + " to " + path);
    }
}

}  // namespace

Quota::Quota(pid_t pid) : pid_(pid)
{
    const std::string first = "/sys/fs/cgroup/cpu";
    const bool is_first = std::filesystem::exists(first + "/cpu.cfs_quota_us");
    root_ = is_first ? first : "/sys/fs/cgroup";
    path_ = root_ + "/drainwatch-" + std::to_string(pid);
    if (mkdir(path_.c_str(), 0755) != 0) {
        throw std::runtime_error("cannot make the cgroup " + path_);
    }
    if (is_first) {
        write_to(path_ + "/cpu.cfs_period_us", "1000000");
        write_to(path_ + "/cpu.cfs_quota_us", "1000");
    } else {
        write_to(path_ + "/cpu.max", "1000 1000000");
    }
    write_to(path_ + "/cgroup.procs", std::to_string(pid));
}

Quota::~Quota()
{
    try {
        write_to(root_ + "/cgroup.procs", std::to_string(pid_));
    } catch (const std::exception&) {
        // it has ended
    }
    // A process that has just ended is in it for a moment still.
    for (int i = 0; i < 100 && rmdir(path_.c_str()) != 0; i++) {
        usleep(10'000);
    }
}

}  // namespace drainwatch::corpus
