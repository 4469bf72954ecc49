#pragma once

#include "host/file.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace drainwatch {

/// Of a network namespace: RFC 4022, tcpActiveOpens and so on.
struct TcpCounters {
    std::uint64_t active_opens = 0;
    std::uint64_t passive_opens = 0;
    std::uint64_t curr_estab = 0;  ///< a gauge, the others only grow
};

/// From the text of /proc/net/snmp; nothing if one of them is not there.
[[nodiscard]] std::optional<TcpCounters> parse_tcp_counters(std::string_view snmp);

/// Does `now` say that a connection has been opened or established since `before`? A connection
/// that is being made is opened before it is established: PassiveOpens in
/// tcp_create_openreq_child(), ActiveOpens in tcp_connect().
[[nodiscard]] bool has_new_connection(const TcpCounters& before, const TcpCounters& now);

/// Tells whether a network namespace has got new TCP connections: costs some 10 us, where a look
/// through them costs milliseconds. One that takes the place of another counts, too.
class ConnectionCount {
public:
    ConnectionCount() = default;
    /// Of the namespace in which this process lives.
    explicit ConnectionCount(std::uint32_t pid);

    /// Has one been opened or established since the last call? True if it cannot be known.
    [[nodiscard]] bool has_new();

private:
    File snmp_;
    TcpCounters last_;
};

}  // namespace drainwatch
