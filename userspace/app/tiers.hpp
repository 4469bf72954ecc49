#pragma once

#include "app/options.hpp"
#include "drainwatch/source.hpp"

#include <memory>

namespace drainwatch {

/// Opens the best source that this host offers, or the one asked for. Fails if there is none.
[[nodiscard]] Result<std::unique_ptr<Source>> open_source(const WatchOptions& options);

}  // namespace drainwatch
