#pragma once

#include <cstddef>
#include <string>

namespace drainwatch {

/// The text of a file of /proc, as far as it can be read, and `most` bytes of it; empty if it
/// cannot.
[[nodiscard]] std::string read_text(const std::string& path,
                                    std::size_t most = std::size_t{64} << 20);

}  // namespace drainwatch
