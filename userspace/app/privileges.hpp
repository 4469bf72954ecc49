#pragma once

#include "drainwatch/source.hpp"

#include <string>
#include <vector>

namespace drainwatch {

/// What needs more than watching does.
struct Also {
    bool program_files = false;  ///< files that a process has mapped and nobody can name
    bool kernel_names = false;   ///< names of places in the kernel
};

/// Gives up what attaching has needed and watching does not. Returns the capabilities that are
/// kept, by name.
std::vector<std::string> drop_privileges(const Source& source, Also also);

}  // namespace drainwatch
