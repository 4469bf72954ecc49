#pragma once

#include <string>

namespace drainwatch {

/// "6.1.0-18-amd64", as uname(1) says.
[[nodiscard]] std::string kernel_release();

}  // namespace drainwatch
