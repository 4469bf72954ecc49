#pragma once

#include "drainwatch/sample.hpp"

#include <cstdint>
#include <vector>

namespace drainwatch {

/// The end of a connection that a fact is about or comes from.
enum class Side { local, peer };

/// The payload of one segment of a watched connection, from its first bytes: where a handshake is,
/// if there is one. It is looked into and thrown away.
struct StreamBytes {
    SocketSample socket;  ///< only who it is: cookie, addresses, netns, owner and reader
    Side from{};
    std::uint64_t at_ns = 0;          ///< when it came, or left
    std::uint32_t start_seq = 0;      ///< of the first byte of this direction
    std::uint32_t offset = 0;         ///< of these bytes, from there
    std::uint32_t segment_bytes = 0;  ///< the segment's payload; more than `bytes` if that was cut
    bool is_past_handshake = false;   ///< only what may be the header of an alert
    std::vector<std::uint8_t> bytes;
};

}  // namespace drainwatch
