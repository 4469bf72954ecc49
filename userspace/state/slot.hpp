#pragma once

#include "drainwatch/abi.h"
#include "drainwatch/sample.hpp"

#include <cstdint>

namespace drainwatch {

/// What a slot says at `now_ns`. Both sources keep a slot for each socket they watch.
[[nodiscard]] SocketSample decode_slot(const dw_slot& slot, std::uint64_t now_ns);

}  // namespace drainwatch
