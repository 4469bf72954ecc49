#pragma once

#include "cause/diagnosis.hpp"
#include "output/event.hpp"

namespace drainwatch {

/// The `cause` of an event.
[[nodiscard]] Json to_json(const Cause& cause);

}  // namespace drainwatch
