#pragma once

#include "drainwatch/sample.hpp"

#include <cstdint>
#include <optional>

namespace drainwatch {

/// struct tcp_info, as far as it tells of receiving. What a kernel is too old for is empty.
struct TcpInfo {
    std::uint16_t rcv_mss = 0;
    std::uint8_t rcv_wscale = 0;
    std::uint32_t rcv_ssthresh = 0;
    std::uint32_t last_data_recv_ms = 0;          ///< since the newest data segment
    std::optional<std::uint64_t> bytes_received;  ///< in order, a FIN counts 1; 4.1
    std::optional<std::uint32_t> segs_in;         ///< 4.2
    std::optional<std::uint32_t> data_segs_in;  ///< those with payload, retransmitted ones too; 4.6
    std::optional<std::uint64_t> bytes_acked;   ///< of what this side sent; 4.1
    std::optional<std::uint32_t> rcv_wnd;       ///< the window announced last; 6.2
};

/// SK_MEMINFO: what `ss -m` shows.
struct SocketMemory {
    std::uint32_t rmem = 0;
    std::uint32_t rcvbuf = 0;
    std::uint32_t backlog = 0;
};

/// What the kernel's tables say about a TCP socket. The parts were read one after the other,
/// the queue first: a segment or a read may lie between them.
struct SocketState {
    Endpoint local;
    Endpoint remote;
    std::uint32_t interface = 0;  ///< index of the device it is bound to
    Cookie cookie{};
    std::uint8_t state = 0;        ///< TCP_ESTABLISHED, ...
    std::uint32_t recv_queue = 0;  ///< for a listener: connections that wait to be accepted
    std::uint32_t inode = 0;       ///< 0: nobody has accepted it
    std::optional<SocketMemory> memory;
    std::optional<TcpInfo> info;
};

}  // namespace drainwatch
