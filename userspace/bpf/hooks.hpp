#pragma once

#include "drainwatch/abi.h"
#include "drainwatch/result.hpp"
#include "drainwatch/source.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

struct drainwatch_bpf;

namespace drainwatch {

/// A tracepoint that is hooked, and what is lost where the kernel has none.
struct Hook {
    std::string_view tracepoint;
    dw_hook number;
    /// How much is lost without it, 1 the least, for who has to choose; 0: it cannot go alone.
    unsigned need;
    std::string_view cost;
};

using Hooks = std::array<Hook, DW_HOOKS>;
[[nodiscard]] Hooks hooks();

/// Which of hooks() are to be loaded.
using HookSelection = std::array<bool, DW_HOOKS>;

/// Before they are loaded.
void select_hooks(const drainwatch_bpf& skeleton, const HookSelection& selected);

/// Once they are: programs find those that they hand events on to (DW_FRONT). Returns 0, or the
/// error number.
[[nodiscard]] int connect_hooks(const drainwatch_bpf& skeleton, const HookSelection& selected);

/// Names of those that were loaded.
[[nodiscard]] std::vector<std::string> loaded_programs(const drainwatch_bpf& skeleton);

/// Attaches what was loaded. Fails if nothing tells of arrivals then.
[[nodiscard]] Result<void> attach_programs(drainwatch_bpf& skeleton, SourceReport& report);

void detach_programs(drainwatch_bpf& skeleton);

/// Attaches one hook of what was loaded, or detaches it.
[[nodiscard]] Result<void> set_attached(drainwatch_bpf& skeleton, const std::string& tracepoint,
                                        bool attached);

/// What was loaded, and what it costs, where the way to a program and back takes `way_ns`.
[[nodiscard]] std::vector<HookUse> read_hooks(const drainwatch_bpf& skeleton, std::uint64_t way_ns);

/// What handing on bytes of streams costs, which is part of what two of the hooks do.
[[nodiscard]] HookRuns read_stream_runs(const drainwatch_bpf& skeleton);

/// Runs for events of watched sockets.
[[nodiscard]] std::uint64_t watched_runs(const drainwatch_bpf& skeleton);

/// Runs that the kernel left out, because one was under way on the CPU.
[[nodiscard]] std::uint64_t missed_runs(const drainwatch_bpf& skeleton);

}  // namespace drainwatch
