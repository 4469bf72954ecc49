#include "support/namespace.hpp"

#include "support/process.hpp"

#include <fcntl.h>
#include <sched.h>
#include <stdexcept>
#include <unistd.h>

namespace drainwatch::live {
namespace {

bool run(const std::vector<std::string>& command)
{
    return Process::spawn(command).wait() == 0;
}

}  // namespace

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
    if (!run({"ip", "netns", "add", name_}) ||
        !run({"ip", "-n", name_, "link", "set", "lo", "up"})) {
        throw std::runtime_error("cannot make a network namespace");
    }
}

NetworkNamespace::~NetworkNamespace()
{
    run({"ip", "netns", "del", name_});
}

}  // namespace drainwatch::live
