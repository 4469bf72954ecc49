#pragma once

#include "support/control.hpp"
#include "support/process.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace drainwatch::live {

/// Reads what is there until told to hold or quit. The well-behaved reader.
void read_all(int fd, Control& control);

/// A target that leaves its connections in the listener's queue.
void accept_nothing(int listener, Control& control);

/// Sleeps and wakes with the control's orders.
void nap(std::chrono::microseconds time);

/// How a target listens.
struct Listen {
    int family = 0;          ///< AF_INET by default
    bool v4_mapped = false;  ///< an IPv6 listener for IPv4 peers
    int protocol = 0;        ///< TCP by default
    int rcvbuf = 0;          ///< SO_RCVBUF, 0: autotuned
    int backlog = 128;
    std::uint32_t address = 0x7f000001;  ///< of IPv4
    std::uint16_t port = 0;              ///< 0: any free one
    std::string netns{};                 ///< name of the network namespace; empty: the test's own
};

/// A process of a given name that listens on loopback and treats its connections as `body` says,
/// which gets the listener and runs until control.quit.
class Target {
public:
    using Body = std::function<void(int listener, Control&)>;

    Target(const std::string& comm, const Listen& listen, const Body& body);

    /// Accepts one connection, and reads it as `reader` says.
    [[nodiscard]] static Body one_connection(std::function<void(int fd, Control&)> reader);

    [[nodiscard]] Control& control() { return *control_; }
    [[nodiscard]] std::uint16_t port() const { return port_; }
    [[nodiscard]] pid_t pid() const { return process_->pid(); }
    [[nodiscard]] Process& process() { return *process_; }

private:
    SharedControl control_;
    std::optional<Process> process_;
    std::uint16_t port_ = 0;
};

/// Bound to loopback, listening.
[[nodiscard]] int listen_on_loopback(const Listen& listen, std::uint16_t& port);

/// A connection to an IPv4 address of loopback, without Nagle's delay.
[[nodiscard]] int connect_on_loopback(std::uint16_t port, std::uint32_t address = 0x7f000001);

}  // namespace drainwatch::live
