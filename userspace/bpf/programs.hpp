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

/// Kernel memory that the maps take, in bytes.
[[nodiscard]] std::uint64_t map_memory(const drainwatch_bpf& skeleton);

}  // namespace drainwatch
