#pragma once

#include <string>

namespace drainwatch {

/// "6.1.0-18-amd64", as uname(1) says.
[[nodiscard]] std::string kernel_release();

/// By that release; what a distribution has taken from later ones is not known.
[[nodiscard]] bool kernel_is_at_least(unsigned major, unsigned minor);

}  // namespace drainwatch
