#pragma once

#include "drainwatch/result.hpp"
#include "host/file.hpp"

namespace drainwatch {

/// SIGINT, SIGTERM and SIGHUP as a descriptor that becomes readable. Blocks them for this thread
/// and those that it starts; call it before any is started.
[[nodiscard]] Result<File> open_stop_signals();

}  // namespace drainwatch
