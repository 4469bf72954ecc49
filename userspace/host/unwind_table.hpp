#pragma once

#include "drainwatch/result.hpp"
#include "host/mapping.hpp"

#include <libelf.h>
#include <cstdint>

namespace drainwatch {

/// Where a file lies in memory: all its segments.
struct Image {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::uint64_t bias = 0;  ///< from the file's addresses to those in memory
};

/// By the segment that has the address, which is in the mapping of the file; or why libdw is not to
/// look at this file: it would read any amount, or begin with guesses.
[[nodiscard]] Result<Image> image_to_unwind(Elf* elf, const Mapping& mapping,
                                            std::uint64_t address);

}  // namespace drainwatch
