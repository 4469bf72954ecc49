#pragma once

#include "cause/facts.hpp"

#include <cstdint>
#include <optional>

namespace drainwatch {

/// Does this call of poll, select or epoll ask for the descriptor, too? Nothing if the process's
/// memory, or its epoll set, does not tell.
[[nodiscard]] std::optional<bool> polls(std::uint32_t pid, const CallFacts& call, std::uint32_t fd);

}  // namespace drainwatch
