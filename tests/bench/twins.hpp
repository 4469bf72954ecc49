#pragma once

#include "bench/programs.hpp"

#include <memory>
#include <string>
#include <vector>

struct twins_bpf;

namespace drainwatch::bench {

/// What drainwatch's programs are held against, on the tracepoints that it hooks, as far as this
/// kernel has them.
class Twins {
public:
    /// Loads them; nothing is attached.
    Twins();

    /// They do nothing.
    [[nodiscard]] std::vector<HookedProgram> empty() const { return programs(""); }
    /// They count their runs, and do nothing else.
    [[nodiscard]] std::vector<HookedProgram> counting() const { return programs("count_"); }

private:
    /// Those whose name is that of the tracepoint behind this.
    [[nodiscard]] std::vector<HookedProgram> programs(const std::string& prefix) const;

    struct Deleter {
        void operator()(twins_bpf* skeleton) const;
    };
    std::unique_ptr<twins_bpf, Deleter> skeleton_;
};

}  // namespace drainwatch::bench
