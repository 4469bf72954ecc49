#pragma once

#include <string>
#include <string_view>

namespace drainwatch {

/// What a compiler's name says in C++ ("f(int)"), or the name itself if it says nothing. The name
/// is foreign: at most kLongestName bytes of it are told, and one that refers to its own parts so
/// often that its meaning could grow beyond all bounds stays as it is.
[[nodiscard]] std::string demangled(std::string_view name);

/// Bytes; what is longer ends in "...".
inline constexpr std::size_t kLongestName = 512;

}  // namespace drainwatch
