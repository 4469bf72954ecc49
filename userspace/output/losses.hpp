#pragma once

#include "drainwatch/source.hpp"

#include <string>

namespace drainwatch {

/// What `lost` says: of what has been lost since `told`, what that means and what to do. Empty if
/// that is nothing.
[[nodiscard]] std::string losses_in_words(const Losses& losses, const Losses& told);

}  // namespace drainwatch
