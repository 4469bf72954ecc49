#pragma once

#include "drainwatch/source.hpp"

#include <string>
#include <vector>

namespace drainwatch {

/// Gives up what attaching has needed and watching does not. Returns the capabilities that are
/// kept, by name.
std::vector<std::string> drop_privileges(const Source& source);

}  // namespace drainwatch
