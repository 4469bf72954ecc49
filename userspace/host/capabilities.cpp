#include "host/capabilities.hpp"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <array>
#include <fstream>

namespace drainwatch {
namespace {

using CapabilitySets = std::array<__user_cap_data_struct, 2>;

/// None, if the kernel will not say.
CapabilitySets own_capabilities()
{
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    CapabilitySets data{};
    if (syscall(SYS_capget, &header, data.data()) != 0) {
        return {};
    }
    return data;
}

bool has(const CapabilitySets& data, unsigned capability)
{
    return (data[capability / 32].effective >> (capability % 32)) & 1;
}

}  // namespace

std::vector<std::string> missing_capabilities()
{
    const CapabilitySets data = own_capabilities();
    if (has(data, CAP_SYS_ADMIN)) {
        return {};
    }
    std::vector<std::string> missing;
    if (!has(data, CAP_BPF)) {
        missing.emplace_back("CAP_BPF");
    }
    if (!has(data, CAP_PERFMON)) {
        missing.emplace_back("CAP_PERFMON");
    }
    return missing;
}

std::string lockdown_mode()
{
    std::ifstream file("/sys/kernel/security/lockdown");
    std::string modes;  // "none [integrity] confidentiality"
    std::getline(file, modes);
    const auto begin = modes.find('[');
    const auto end = modes.find(']');
    if (begin == std::string::npos || end == std::string::npos) {
        return "";
    }
    return modes.substr(begin + 1, end - begin - 1);
}

bool has_admin_capability()
{
    return has(own_capabilities(), CAP_SYS_ADMIN);
}

}  // namespace drainwatch
