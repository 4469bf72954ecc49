#pragma once

#include <sys/capability.h>
#include <string>
#include <vector>

namespace drainwatch {

/// Capabilities that watching needs and this process lacks, by name ("CAP_BPF"). CAP_SYS_ADMIN
/// stands for the others, as it does on kernels before 5.8, which have no CAP_BPF.
[[nodiscard]] std::vector<std::string> missing_capabilities();

/// The kernel's lockdown mode ("none", "integrity", "confidentiality"); empty if it tells of none.
/// In confidentiality, BPF may not read kernel memory.
[[nodiscard]] std::string lockdown_mode();

/// Sees less without it: sockets in other network namespaces, and who holds which descriptor.
[[nodiscard]] bool has_admin_capability();

/// CAP_SYS_ADMIN is what BPF is allowed by: the kernel has no CAP_BPF (before 5.8), or this process
/// lacks it or CAP_PERFMON.
[[nodiscard]] bool admin_stands_for_bpf();

/// Gives up for good every capability of the calling thread but those of `keep`, and the way to get
/// one by exec. Other threads keep theirs; those that this one begins later have no more than it
/// has. Returns what it has then, by name: more than `keep` only if the kernel refuses.
std::vector<std::string> drop_capabilities(const std::vector<cap_value_t>& keep);

}  // namespace drainwatch
