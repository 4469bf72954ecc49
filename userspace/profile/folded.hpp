#pragma once

#include "profile/measurement.hpp"

#include <functional>
#include <string>

namespace drainwatch {

/// Names of places in the code, for folding.
struct FrameNames {
    std::function<std::string(std::uint64_t address)> kernel;
    std::function<std::string(std::uint32_t pid, std::uint64_t address)> user;
};

/// The stacks as flame-graph tools read them: one a line, the process first and the innermost frame
/// last, separated by semicolons, and the nanoseconds waited there. Kernel frames end in "_[k]";
/// time without a CPU has a last frame "[no CPU]".
[[nodiscard]] std::string fold_stacks(const Measurement& measurement, const FrameNames& names);

}  // namespace drainwatch
