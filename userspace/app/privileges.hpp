#pragma once

#include "drainwatch/source.hpp"

#include <string>
#include <vector>

namespace drainwatch {

/// Gives up what attaching has needed and watching does not; with `causes`, looking into the files
/// of processes needs one more. Returns the capabilities that are kept, by name.
std::vector<std::string> drop_privileges(const Source& source, bool causes);

}  // namespace drainwatch
