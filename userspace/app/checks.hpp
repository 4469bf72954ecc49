#pragma once

#include "drainwatch/source.hpp"

#include <optional>
#include <string>
#include <vector>

namespace drainwatch {

enum class Outcome { ok, note, bad };

/// One row of doctor's table: what was looked at, what was found, what it means and what to do.
struct Check {
    std::string name;
    Outcome outcome{};
    std::string found;
    std::string advice;
};

/// What this host offers.
struct Diagnosis {
    std::vector<Check> checks;
    std::optional<Tier> tier;  ///< in which watch would run; nothing: it would not
    std::string blind_spots;   ///< what that tier does not see
};

/// Looks at everything that watching these targets stands on. Attaches nothing.
[[nodiscard]] Diagnosis diagnose(const Targets& targets);

}  // namespace drainwatch
