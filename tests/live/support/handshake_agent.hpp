#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

struct mnl_socket;

namespace drainwatch::live {

/// Does what tlshd does: takes sockets of the kernel's over, for TLS handshakes on them, and says
/// how they went. The generic netlink family "handshake", since 6.4.
class HandshakeAgent {
public:
    /// Nothing if this kernel has no such family. From now on the kernel knows that there is an
    /// agent in this network namespace.
    [[nodiscard]] static std::optional<HandshakeAgent> open();

    /// The next socket; it is non-blocking. Nothing if there is none within the limit.
    [[nodiscard]] std::optional<int> accept(std::chrono::milliseconds limit);

    /// The handshake is over: 0, or the errno of why it failed.
    bool done(int fd, int status);

private:
    struct Closer {
        void operator()(mnl_socket* socket) const;
    };
    using Socket = std::unique_ptr<mnl_socket, Closer>;

    HandshakeAgent(std::uint16_t family, Socket requests, Socket news);

    std::uint16_t family_;
    Socket requests_;
    Socket news_;  ///< that a socket waits
};

}  // namespace drainwatch::live
