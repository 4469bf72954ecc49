#include "host/capabilities.hpp"

#include <sys/prctl.h>
#include <algorithm>
#include <fstream>
#include <memory>
#include <type_traits>

namespace drainwatch {
namespace {

struct CapabilitiesDeleter {
    void operator()(cap_t capabilities) const { cap_free(capabilities); }
};
using Capabilities = std::unique_ptr<std::remove_pointer_t<cap_t>, CapabilitiesDeleter>;

/// False also if the kernel will not say.
bool has(const Capabilities& capabilities, cap_value_t capability)
{
    cap_flag_value_t value = CAP_CLEAR;
    return capabilities &&
           cap_get_flag(capabilities.get(), capability, CAP_EFFECTIVE, &value) == 0 &&
           value == CAP_SET;
}

/// "CAP_BPF"
std::string name_of(cap_value_t capability)
{
    const std::unique_ptr<char, decltype(&cap_free)> name(cap_to_name(capability), cap_free);
    std::string text(name ? name.get() : "");
    std::transform(text.begin(), text.end(), text.begin(), [](char c) {
        return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    });
    return text;
}

}  // namespace

std::vector<std::string> missing_capabilities()
{
    const Capabilities own(cap_get_proc());
    if (has(own, CAP_SYS_ADMIN)) {
        return {};
    }
    std::vector<std::string> missing;
    for (const cap_value_t capability : {CAP_BPF, CAP_PERFMON}) {
        if (!has(own, capability)) {
            missing.push_back(name_of(capability));
        }
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
    return has(Capabilities(cap_get_proc()), CAP_SYS_ADMIN);
}

bool admin_stands_for_bpf()
{
    const Capabilities own(cap_get_proc());
    return !has(own, CAP_BPF) || !has(own, CAP_PERFMON);
}

std::vector<std::string> drop_capabilities(const std::vector<cap_value_t>& keep)
{
    const Capabilities own(cap_get_proc());
    const Capabilities kept(cap_init());
    std::vector<cap_value_t> left;
    std::copy_if(keep.begin(), keep.end(), std::back_inserter(left),
                 [&](cap_value_t capability) { return has(own, capability); });
    for (const cap_flag_t set : {CAP_PERMITTED, CAP_EFFECTIVE}) {
        cap_set_flag(kept.get(), set, static_cast<int>(left.size()), left.data(), CAP_SET);
    }
    // Each is refused only where there was nothing to give up: the bounding set to a process
    // without CAP_SETPCAP, the ambient set by kernels before 4.3.
    for (cap_value_t capability = 0; CAP_IS_SUPPORTED(capability); capability++) {
        if (std::find(left.begin(), left.end(), capability) == left.end()) {
            cap_drop_bound(capability);
        }
    }
    cap_reset_ambient();
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    cap_set_proc(kept.get());

    const Capabilities now(cap_get_proc());
    std::vector<std::string> names;
    for (cap_value_t capability = 0; CAP_IS_SUPPORTED(capability); capability++) {
        if (has(now, capability)) {
            names.push_back(name_of(capability));
        }
    }
    return names;
}

}  // namespace drainwatch
