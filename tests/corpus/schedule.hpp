#pragma once

#include "corpus/results.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace drainwatch::corpus {

struct Task {
    std::string name;
    std::uint64_t seed = 0;
    bool alone = false;  ///< needs the machine for itself
};

/// Runs each task in a process of its own, `jobs` at a time or one alone, and tells each result as
/// it comes; how far it is goes to stderr.
void run_all(const std::vector<Task>& tasks, std::uint32_t jobs,
             const std::function<void(Result)>& done);

}  // namespace drainwatch::corpus
