#pragma once

#include "drainwatch/result.hpp"
#include "host/file.hpp"
#include "poll/socket_state.hpp"

#include <functional>
#include <optional>
#include <string_view>

namespace drainwatch {

/// FNV-1a over both ends, in a range of its own that JSON readers keep exact. A connection that is
/// made anew between the same ports within one look is told apart by its inode alone.
[[nodiscard]] Cookie cookie_of_addresses(const SocketState& socket);

/// A line of /proc/net/tcp, tcp6, udp or udp6; nothing if it is none. It has no memory and no
/// tcp_info; its cookie is that of its addresses. `family`: of the file it is from.
[[nodiscard]] std::optional<SocketState> parse_proc_line(std::string_view line, int family);

/// Reads such a file from its beginning, without its heading, until `found` wants no more.
[[nodiscard]] Result<void> for_each_line(const File& file,
                                         const std::function<bool(std::string_view)>& found);

}  // namespace drainwatch
