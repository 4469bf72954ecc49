#pragma once

#include "support/control.hpp"
#include "support/process.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace drainwatch::bench {

/// What one traffic's processes and the bench share.
struct TrafficControl {
    std::atomic<bool> on{false};
    std::atomic<std::uint32_t> port{0};   ///< that the server listens on
    std::atomic<std::uint32_t> ready{0};  ///< processes that are
    std::atomic<std::uint64_t> done{0};   ///< in the kind's unit
};

/// A kind of load that one pair of processes can make, as fast as it goes.
struct TrafficKind {
    std::string name;
    std::string unit;  ///< of what is counted
    std::function<void(int listener, TrafficControl&)> server;
    std::function<void(std::uint16_t port, TrafficControl&)> client;
    int server_cpu = 0;
    int client_cpu = 0;
};

/// Every kind there is.
[[nodiscard]] const std::vector<TrafficKind>& traffic_kinds();
[[nodiscard]] const TrafficKind& traffic_kind(const std::string& name);

/// Two processes of the given name, on loopback, connected and silent until they are let run.
class Traffic {
public:
    Traffic(const TrafficKind& kind, const std::string& comm);

    [[nodiscard]] std::uint16_t port() const { return static_cast<std::uint16_t>(control_->port); }

    /// Lets it run, and waits until it is well under way.
    void start();
    void stop();
    /// What is done in so long a block of time, a second, while it runs.
    [[nodiscard]] double measure(std::chrono::milliseconds block) const;

private:
    live::Shared<TrafficControl> control_;
    std::vector<live::Process> processes_;
};

}  // namespace drainwatch::bench
