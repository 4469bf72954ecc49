#pragma once

#include <string>
#include <string_view>

namespace drainwatch {

/// For every output: a name chosen by someone else must not steer a terminal or break a line.
/// Control characters, backslashes and bytes that are not UTF-8 become "\xNN".
[[nodiscard]] std::string escape(std::string_view text);

}  // namespace drainwatch
