#pragma once

#include <cstdint>

struct drainwatch_bpf;

namespace drainwatch {

/// Nanoseconds from a tracepoint to a program and back, on this host: what a rename of this thread
/// takes longer with a hook that does nothing. Before anything is attached. A usual value where
/// that cannot be measured.
[[nodiscard]] std::uint64_t measure_way_ns(drainwatch_bpf& skeleton);

}  // namespace drainwatch
