#pragma once

#include "host/clock.hpp"

#include <algorithm>
#include <cstdint>

namespace drainwatch {

/// Spaces a task that recurs: at least this far apart, and so that it takes no more than a share of
/// one CPU.
class Pace {
public:
    /// `share`: one part in so many.
    constexpr Pace(std::uint64_t spacing_ns, std::uint64_t share)
        : spacing_ns_(spacing_ns), share_(share)
    {}

    [[nodiscard]] bool is_due() const { return monotonic_ns() >= due_ns_; }
    [[nodiscard]] std::uint64_t due_ns() const { return due_ns_; }
    void make_due(std::uint64_t at_ns) { due_ns_ = std::min(due_ns_, at_ns); }

    /// Spaced like that one from the next run on; when it is due stays.
    void space_like(const Pace& other)
    {
        spacing_ns_ = other.spacing_ns_;
        share_ = other.share_;
    }

    /// Runs the task, whether it is due or not, and sets when it is next. Returns the CPU time that
    /// it took.
    template <typename Task>
    std::uint64_t run(Task&& task)
    {
        const std::uint64_t began_ns = monotonic_ns();
        const std::uint64_t before_ns = cpu_ns();
        task();
        const std::uint64_t cost_ns = cpu_ns() - before_ns;
        due_ns_ = began_ns + std::max(spacing_ns_, share_ * cost_ns);
        return cost_ns;
    }

private:
    std::uint64_t spacing_ns_;
    std::uint64_t share_;
    std::uint64_t due_ns_ = 0;
};

}  // namespace drainwatch
