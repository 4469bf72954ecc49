#pragma once

#include <sys/types.h>
#include <string>

namespace drainwatch::corpus {

/// A thousandth of a CPU for one process, by a cgroup of its own that is gone at the end.
class Quota {
public:
    /// Throws if there is no cpu controller, of either version.
    explicit Quota(pid_t pid);
    ~Quota();
    Quota(const Quota&) = delete;
    Quota& operator=(const Quota&) = delete;

private:
    pid_t pid_;
    std::string root_;
    std::string path_;
};

}  // namespace drainwatch::corpus
