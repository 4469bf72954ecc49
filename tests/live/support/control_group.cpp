#include "support/control_group.hpp"

#include "support/control.hpp"

#include <unistd.h>
#include <cstdlib>
#include <fstream>
#include <string>

namespace drainwatch::live {
namespace {

namespace fs = std::filesystem;

const fs::path kRoot = "/sys/fs/cgroup";

bool write(const fs::path& file, const std::string& text)
{
    std::ofstream stream(file);
    stream << text << std::flush;
    return static_cast<bool>(stream);
}

std::string read_line(const fs::path& file)
{
    std::ifstream stream(file);
    std::string line;
    std::getline(stream, line);
    return line;
}

fs::path hierarchy(ControlGroup::Controller controller)
{
    return kRoot / (controller == ControlGroup::Controller::cpu ? "cpu" : "freezer");
}

}  // namespace

ControlGroup::ControlGroup(Controller controller)
    : is_v1_(fs::exists(hierarchy(controller) / "cgroup.procs")),
      root_(is_v1_ ? hierarchy(controller) : kRoot),
      folder_(root_ / "drainwatch-XXXXXX")
{
    if (!is_v1_ && controller == Controller::cpu) {
        write(root_ / "cgroup.subtree_control", "+cpu");
    }
    if (mkdtemp(folder_.data()) == nullptr) {
        folder_.clear();
    }
}

ControlGroup::~ControlGroup()
{
    if (folder_.empty()) {
        return;
    }
    thaw();
    std::ifstream processes(folder_ + "/cgroup.procs");
    for (std::string pid; std::getline(processes, pid);) {
        write(root_ / "cgroup.procs", pid);
    }
    // A process that has just ended is in it for a moment still.
    (void)wait_until([&] { return rmdir(folder_.c_str()) == 0; }, std::chrono::seconds(5));
}

bool ControlGroup::add(pid_t pid) const
{
    return write(folder_ + "/cgroup.procs", std::to_string(pid));
}

bool ControlGroup::limit_cpu(std::chrono::microseconds quota,
                             std::chrono::microseconds period) const
{
    const std::string us = std::to_string(quota.count());
    const std::string of_us = std::to_string(period.count());
    return is_v1_ ? write(folder_ + "/cpu.cfs_period_us", of_us) &&
                        write(folder_ + "/cpu.cfs_quota_us", us)
                  : write(folder_ + "/cpu.max", us + " " + of_us);
}

bool ControlGroup::freeze() const
{
    if (!is_v1_) {
        return write(folder_ + "/cgroup.freeze", "1");
    }
    // It takes a moment until every process in it has come to a halt.
    return write(folder_ + "/freezer.state", "FROZEN") &&
           wait_until([&] { return read_line(folder_ + "/freezer.state") == "FROZEN"; },
                      std::chrono::seconds(2));
}

void ControlGroup::thaw() const
{
    is_v1_ ? write(folder_ + "/freezer.state", "THAWED") : write(folder_ + "/cgroup.freeze", "0");
}

}  // namespace drainwatch::live
