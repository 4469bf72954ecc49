#pragma once

#include "drainwatch/abi.h"
#include "drainwatch/result.hpp"
#include "drainwatch/source.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct drainwatch_bpf;

namespace drainwatch {

struct SkeletonDeleter {
    void operator()(drainwatch_bpf* skeleton) const;
};
using Skeleton = std::unique_ptr<drainwatch_bpf, SkeletonDeleter>;

/// Does this kernel describe itself in BTF (/sys/kernel/btf/vmlinux)?
[[nodiscard]] bool kernel_has_btf();

/// Has this kernel the tracepoint?
[[nodiscard]] bool kernel_has_tracepoint(std::string_view tracepoint);

/// libbpf's own messages: to stderr if `verbose`, else nowhere.
void set_libbpf_verbosity(bool verbose);

/// What can be left out: the tracepoints that are hooked where a kernel has them; sk_storage,
/// where the kernel side remembers watched sockets; bpf_sk_storage_map, by which a full look comes
/// to them; tls, the bytes of streams.
[[nodiscard]] std::vector<std::string> hook_names();

/// Loads what this kernel takes: a program whose tracepoint does not exist, that the kernel
/// refuses, or that is one of `without`, is left out and named in the report. Fails if nothing is
/// left that tells of arrivals, or an iterator is refused. The table is smaller than `slots` where
/// the memory is short; table_size() tells.
[[nodiscard]] Result<Skeleton> load_programs(dw_config config, std::uint32_t slots,
                                             const std::vector<std::string>& without,
                                             SourceReport& report);

/// What a report says where bytes of streams are not handed on.
[[nodiscard]] MissingPart without_streams(std::string reason);

/// Slots in the table of what was loaded.
[[nodiscard]] std::uint32_t table_size(const drainwatch_bpf& skeleton);

/// Are watched sockets remembered by their address? Then find_connections() does what
/// heal_slots() does otherwise, and gives the sockets of find_descriptors() their slots.
[[nodiscard]] bool remembers_by_address(const drainwatch_bpf& skeleton);

/// Does find_descriptors() do what heal_slots() does otherwise?
[[nodiscard]] bool heals_by_descriptor(const drainwatch_bpf& skeleton);

/// Does what was loaded hand on bytes of streams, for the sake of TLS?
[[nodiscard]] bool looks_for_tls(const drainwatch_bpf& skeleton);

/// Names of what was loaded.
[[nodiscard]] std::vector<std::string> loaded_programs(const drainwatch_bpf& skeleton);

/// Attaches what was loaded. Fails if nothing tells of arrivals then.
[[nodiscard]] Result<void> attach_programs(drainwatch_bpf& skeleton, SourceReport& report);

void detach_programs(drainwatch_bpf& skeleton);

/// What was loaded, and what it costs, where the way to a program and back takes `way_ns`.
[[nodiscard]] std::vector<HookUse> read_hooks(const drainwatch_bpf& skeleton, std::uint64_t way_ns);

/// What handing on bytes of streams costs, which is part of what two of the hooks do.
[[nodiscard]] HookRuns read_stream_runs(const drainwatch_bpf& skeleton);

/// Attaches one hook of what was loaded, or detaches it.
[[nodiscard]] Result<void> set_attached(drainwatch_bpf& skeleton, const std::string& tracepoint,
                                        bool attached);

/// Runs for events of watched sockets.
[[nodiscard]] std::uint64_t watched_runs(const drainwatch_bpf& skeleton);

/// Runs that the kernel left out, because one was under way on the CPU.
[[nodiscard]] std::uint64_t missed_runs(const drainwatch_bpf& skeleton);

/// Kernel memory that the maps take, in bytes.
[[nodiscard]] std::uint64_t map_memory(const drainwatch_bpf& skeleton);

}  // namespace drainwatch
