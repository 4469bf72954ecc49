#pragma once

#include "drainwatch/profile_abi.h"
#include "profile/measurement.hpp"

#include <cstdint>
#include <set>

struct profile_bpf;

namespace drainwatch {

/// What the kernel side of `profile` has measured, up to now_ns; nothing of it is attached any
/// more. `slots`: so many have been in use.
[[nodiscard]] Measurement read_measurement(const profile_bpf& skeleton, std::uint32_t slots,
                                           dw_grouping grouping, std::uint64_t now_ns);

/// Processes of the threads that have read, or are the only ones that could.
[[nodiscard]] std::set<std::uint32_t> reading_processes(const profile_bpf& skeleton);

/// Reads so far.
[[nodiscard]] std::uint64_t count_reads(const profile_bpf& skeleton);

}  // namespace drainwatch
