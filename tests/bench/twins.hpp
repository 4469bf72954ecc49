#pragma once

#include "bench/programs.hpp"

#include <memory>
#include <vector>

struct twins_bpf;

namespace drainwatch::bench {

/// Empty programs on the tracepoints that drainwatch hooks, as far as this kernel has them.
class Twins {
public:
    /// Loads them; nothing is attached.
    Twins();

    [[nodiscard]] std::vector<HookedProgram> programs() const;

private:
    struct Deleter {
        void operator()(twins_bpf* skeleton) const;
    };
    std::unique_ptr<twins_bpf, Deleter> skeleton_;
};

}  // namespace drainwatch::bench
