#pragma once

#include <cstdint>
#include <string>

namespace drainwatch {

struct Process {
    std::string comm;  ///< raw: may hold any byte; output escapes it
    std::uint32_t pid = 0;
};

}  // namespace drainwatch
