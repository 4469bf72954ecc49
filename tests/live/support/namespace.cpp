#include "support/namespace.hpp"

#include "support/process.hpp"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>
#include <stdexcept>

namespace drainwatch::live {
void enter_namespace(const std::string& name)
{
    if (name.empty()) {
        return;
    }
    const int fd = open(("/run/netns/" + name).c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET) != 0) {
        throw std::runtime_error("cannot enter " + name);
    }
    close(fd);
}

NetworkNamespace::NetworkNamespace() : name_("drainwatch-" + std::to_string(getpid()))
{
    if (run({"ip", "netns", "add", name_}).code != 0 ||
        run({"ip", "-n", name_, "link", "set", "lo", "up"}).code != 0) {
        throw std::runtime_error("cannot make a network namespace");
    }
}

NetworkNamespace::~NetworkNamespace()
{
    (void)run({"ip", "netns", "del", name_});
}

}  // namespace drainwatch::live
