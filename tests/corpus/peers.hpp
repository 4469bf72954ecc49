#pragma once

#include "corpus/plan.hpp"

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace drainwatch::corpus {

/// The far ends of a run's links, all driven by one thread: connect, send as the plan says, never
/// block. Closed at the end.
class Peers {
public:
    Peers(std::uint16_t port, const Plan& plan);
    ~Peers();
    Peers(const Peers&) = delete;
    Peers& operator=(const Peers&) = delete;

    void start();

    /// The links' own ports.
    [[nodiscard]] std::vector<std::uint16_t> ports() const;

private:
    struct Peer {
        int fd;
        std::uint64_t due_ns;
        bool awaits_answer;
    };

    void run();
    void send_next(Peer& peer);

    const Plan& plan_;
    std::vector<char> message_;
    std::vector<Peer> peers_;
    std::vector<int> crowd_;
    std::atomic<bool> done_{false};
    std::thread thread_;
};

}  // namespace drainwatch::corpus
