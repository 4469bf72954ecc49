#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <thread>

namespace drainwatch::live {

/// What a sender does.
struct Flow {
    std::size_t message = 150;
    std::chrono::microseconds spacing{4167};  ///< 240 a second
    int family = 0;                           ///< AF_INET by default
    int protocol = 0;                         ///< TCP by default
    std::uint32_t address = 0x7f000001;       ///< of IPv4, to connect to
    std::string netns{};
    bool nodelay = true;
};

/// A connection to a port on loopback that sends messages, evenly. Never blocks: what the socket
/// does not take is not sent, nor is what more than 5 ms without a CPU have kept it from sending.
class Sender {
public:
    Sender(std::uint16_t port, Flow flow);
    ~Sender();
    Sender(const Sender&) = delete;
    Sender& operator=(const Sender&) = delete;

    void start();
    void pause() { paused_ = true; }
    void resume() { paused_ = false; }
    /// Sends a FIN after what was sent.
    void finish();
    /// Closes the connection.
    void drop();
    /// Resets it.
    void reset();

    /// Its own port.
    [[nodiscard]] std::uint16_t port() const { return port_; }
    [[nodiscard]] std::uint64_t sent() const { return sent_; }
    [[nodiscard]] int fd() const { return fd_; }

private:
    void send_messages();
    void end_sending();

    Flow flow_;
    int fd_ = -1;
    std::uint16_t port_ = 0;
    std::atomic<bool> done_{false};
    std::atomic<bool> paused_{false};
    std::atomic<std::uint64_t> sent_{0};
    std::thread thread_;
};

}  // namespace drainwatch::live
