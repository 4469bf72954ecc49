#pragma once

#include "drainwatch/hook_runs.hpp"

#include <cstdint>

namespace drainwatch {

/// Turns a hook's counters into CPU time. Pure.
class CostMeter {
public:
    /// Nanoseconds of CPU since the call before; all of them at the first call.
    [[nodiscard]] std::uint64_t take(const HookRuns& runs);

private:
    HookRuns last_;
    std::uint64_t mean_ns_ = kFirstGuessNs;  ///< of the latest timed runs

    /// Before any run was timed.
    static constexpr std::uint64_t kFirstGuessNs = 100;
};

}  // namespace drainwatch
