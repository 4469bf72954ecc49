#pragma once

#include "corpus/observation.hpp"
#include "corpus/plan.hpp"

namespace drainwatch::corpus {

/// Carries the plan out, in a network namespace that the calling process enters for good: tcpdump,
/// ports and sysctls are its own. Throws where the stage itself fails, which says nothing about
/// drainwatch.
[[nodiscard]] Observation carry_out(const Plan& plan);

}  // namespace drainwatch::corpus
