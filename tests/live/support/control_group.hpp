#pragma once

#include <sys/types.h>
#include <chrono>
#include <filesystem>
#include <string>

namespace drainwatch::live {

/// A control group of its own; cgroup v1 or v2. Gone at the end; processes in it are moved out.
class ControlGroup {
public:
    enum class Controller { cpu, freezer };

    explicit ControlGroup(Controller controller);
    ~ControlGroup();
    ControlGroup(const ControlGroup&) = delete;
    ControlGroup& operator=(const ControlGroup&) = delete;

    // Each returns false where that cannot be done, or there is no such group.

    [[nodiscard]] bool add(pid_t pid) const;
    /// The processes in it get so much CPU time in each period.
    [[nodiscard]] bool limit_cpu(std::chrono::microseconds quota,
                                 std::chrono::microseconds period) const;
    [[nodiscard]] bool freeze() const;
    void thaw() const;

private:
    bool is_v1_;
    std::filesystem::path root_;
    std::string folder_;
};

}  // namespace drainwatch::live
