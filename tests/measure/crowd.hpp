#pragma once

#include "support/process.hpp"

#include <cstdint>
#include <vector>

namespace drainwatch::measure {

/// A host's sockets, made by processes of their own: links that carry messages and are read at
/// once, and idle connections.
class Crowd {
public:
    /// `links` links to one port of the target, a process named `comm`; then idle connections until
    /// there are `sockets` in all, both ends counted, some of them the target's.
    Crowd(const char* comm, unsigned links, unsigned sockets);

    /// Port that the links lead to.
    [[nodiscard]] std::uint16_t port() const { return port_; }

private:
    std::vector<live::Process> processes_;
    std::uint16_t port_ = 0;
};

}  // namespace drainwatch::measure
