#pragma once

#include "drainwatch/abi.h"
#include "drainwatch/result.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

struct drainwatch_bpf;

/// The looks that walk through the kernel's own lists. Each costs time in proportion to what
/// there is to walk through, so they are taken now and then, not every tick.
namespace drainwatch {

/// Watches the sockets behind the targets' descriptors that are not watched yet, and returns who
/// holds which watched socket. With a `pid`, walks through that process alone.
[[nodiscard]] Result<std::vector<dw_descriptor>> find_descriptors(drainwatch_bpf& skeleton,
                                                                  std::optional<std::uint32_t> pid);

/// The same for every process on the host; watches nothing new.
[[nodiscard]] Result<std::vector<dw_descriptor>> find_all_holders(drainwatch_bpf& skeleton);

/// Watches connections that wait to be accepted in the network namespace at `netns_path`
/// ("/proc/<pid>/ns/net"); with --all, every connection there.
[[nodiscard]] Result<void> find_connections(drainwatch_bpf& skeleton,
                                            const std::string& netns_path);

/// Takes every watched socket's counters again, for what an event may have missed.
[[nodiscard]] Result<void> heal_slots(drainwatch_bpf& skeleton);

}  // namespace drainwatch
