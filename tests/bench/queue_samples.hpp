#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace drainwatch::bench {

/// A receive queue as `ss` showed it.
struct QueueSample {
    std::uint64_t at_ns = 0;
    std::uint64_t bytes = 0;
};

/// Recv-Q of an established socket's line of `ss -H`; nothing for any other line.
[[nodiscard]] std::optional<std::uint64_t> receive_queue(const std::string& line);

/// What somebody may conclude who looks at each sample at once: the first one at which the queue
/// has not been empty, and has not become shorter, for so long. Its index.
[[nodiscard]] std::optional<std::size_t> first_stall(const std::vector<QueueSample>& samples,
                                                     std::uint64_t for_ns);

}  // namespace drainwatch::bench
