#pragma once

#include <string_view>

namespace drainwatch {

/// "0.1.0 (5f8d3a9)": the project's version and the commit it was built from; "5f8d3a9-dirty" if
/// the tree had changes, "unknown" if it was not built from its own git tree.
[[nodiscard]] std::string_view version();

}  // namespace drainwatch
