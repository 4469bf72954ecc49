#pragma once

#include "support/control.hpp"
#include "support/process.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace drainwatch::bench {

/// A host's sockets, and what goes on among them. Both ends of a connection count.
struct CrowdPlan {
    std::string comm;        ///< of the target's processes
    unsigned sockets = 0;    ///< in all
    unsigned of_target = 0;  ///< of these, held by processes of that name; the rest by others
    unsigned links = 0;      ///< connections that carry messages and are read at once
    std::chrono::microseconds spacing{4167};  ///< of a link's messages: the most of a CTI link
};

/// Sockets made by processes of their own. The links lead from a feeder, which is the target's
/// if all sockets are, to one port of a process of the target.
class Crowd {
public:
    explicit Crowd(const CrowdPlan& plan);

    /// Port that the links lead to.
    [[nodiscard]] std::uint16_t port() const { return static_cast<std::uint16_t>(control_->port); }
    /// Links carry messages only while this is set.
    void let_flow(bool on) { control_->hold = !on; }

private:
    void hold_idle(const std::string& comm, unsigned sockets);

    live::SharedControl control_;
    std::vector<live::Process> processes_;
};

}  // namespace drainwatch::bench
