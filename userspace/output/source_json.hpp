#pragma once

#include "drainwatch/source.hpp"
#include "output/event.hpp"

#include <string>
#include <vector>

/// What `start` and `profile` say of where their facts come from.
namespace drainwatch {

/// "gip", "pid 77": one for each that is named.
[[nodiscard]] std::vector<std::string> processes_in_words(const Targets& targets);

/// "gip and pid 29543, port 8765"
[[nodiscard]] std::string targets_in_words(const Targets& targets);

[[nodiscard]] Json to_json(const Targets& targets);

[[nodiscard]] Json to_json(const std::vector<MissingPart>& missing);

}  // namespace drainwatch
