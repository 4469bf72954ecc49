#pragma once

#include "drainwatch/sample.hpp"

#include <cstdint>
#include <vector>

namespace drainwatch {

/// The end of a connection that a fact is about or comes from.
enum class Side { local, peer };

/// The payload of one segment of a watched connection. It is looked into and thrown away.
struct StreamBytes {
    enum class Part {
        handshake,  ///< all of it, from the first bytes on
        alert,      ///< past the handshake: the front of what may be an alert
        glimpse,    ///< the front of one of a connection that was there before the watch
    };
    SocketSample socket;      ///< only who it is: cookie, addresses, netns, owner and reader
    std::uint64_t place = 0;  ///< the source's own mark of the socket and of this handshake
    Part part{};
    Side from{};
    std::uint64_t at_ns = 0;          ///< when it came, or left
    std::uint32_t start_seq = 0;      ///< of the first byte of this direction
    std::uint32_t offset = 0;         ///< of these bytes, from there
    std::uint32_t segment_bytes = 0;  ///< the segment's payload; more than `bytes` if that was cut
    std::vector<std::uint8_t> bytes;
};

}  // namespace drainwatch
