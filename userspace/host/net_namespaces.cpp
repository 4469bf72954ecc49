#include "host/net_namespaces.hpp"

#include "host/file.hpp"
#include "host/proc.hpp"

#include <fcntl.h>
#include <sched.h>
#include <cerrno>

namespace drainwatch {

std::optional<std::string> NetNamespaces::path(std::uint32_t netns)
{
    const auto known = tenants_.find(netns);
    if (known == tenants_.end() || proc::net_namespace(known->second) != netns) {
        tenants_.clear();
        for (const std::uint32_t pid : proc::pids()) {
            if (const auto of_pid = proc::net_namespace(pid)) {
                tenants_.try_emplace(*of_pid, pid);
            }
        }
    }
    const auto tenant = tenants_.find(netns);
    return tenant != tenants_.end() ? std::optional(proc::net_namespace_path(tenant->second))
                                    : std::nullopt;
}

Result<void> enter_net_namespace(const std::string& path)
{
    const File netns(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!netns || setns(netns.get(), CLONE_NEWNET) != 0) {
        return tl::unexpected(system_error("enter", path, errno));
    }
    return {};
}

}  // namespace drainwatch
