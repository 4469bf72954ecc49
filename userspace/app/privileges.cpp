#include "app/privileges.hpp"

#include "host/capabilities.hpp"

namespace drainwatch {

std::vector<std::string> drop_privileges(const Source& source, Also also)
{
    // Whose descriptor is whose, and in which network namespace a process lives: /proc/<pid>/fd,
    // ns.
    std::vector<cap_value_t> keep{CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH};
    if (source.tier() == Tier::bpf) {
        // Looks through the kernel's lists are links made anew each time.
        keep.insert(keep.end(), {CAP_BPF, CAP_PERFMON});
    }
    if (also.program_files) {
        // Files that a process has mapped and that have no name any more: /proc/<pid>/map_files.
        keep.push_back(CAP_CHECKPOINT_RESTORE);
    }
    if (also.kernel_names) {
        keep.push_back(CAP_SYSLOG);  // the addresses in /proc/kallsyms
    }
    if ((source.tier() == Tier::bpf && admin_stands_for_bpf()) || source.enters_namespaces()) {
        keep.push_back(CAP_SYS_ADMIN);
    }
    return drop_capabilities(keep);
}

}  // namespace drainwatch
