#include "support/sender.hpp"

#include "support/namespace.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <stdexcept>
#include <utility>
#include <vector>

namespace drainwatch::live {
namespace {

constexpr std::chrono::milliseconds kMostBehind{5};

}  // namespace

Sender::Sender(std::uint16_t port, Flow flow) : flow_(std::move(flow))
{
    // A namespace is entered by a thread that ends again.
    std::thread([&] {
        enter_namespace(flow_.netns);
        fd_ = socket(flow_.family == AF_INET6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC,
                     flow_.protocol);
    }).join();
    const int on = flow_.nodelay;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    sockaddr_in6 v6{};
    sockaddr_in v4{};
    int failed = 0;
    if (flow_.family == AF_INET6) {
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(port);
        v6.sin6_addr = in6addr_loopback;
        failed = connect(fd_, reinterpret_cast<sockaddr*>(&v6), sizeof(v6));
        socklen_t length = sizeof(v6);
        getsockname(fd_, reinterpret_cast<sockaddr*>(&v6), &length);
        port_ = ntohs(v6.sin6_port);
    } else {
        v4.sin_family = AF_INET;
        v4.sin_port = htons(port);
        v4.sin_addr.s_addr = htonl(flow_.address);
        failed = connect(fd_, reinterpret_cast<sockaddr*>(&v4), sizeof(v4));
        socklen_t length = sizeof(v4);
        getsockname(fd_, reinterpret_cast<sockaddr*>(&v4), &length);
        port_ = ntohs(v4.sin_port);
    }
    if (failed != 0) {
        throw std::runtime_error("cannot connect");
    }
}

Sender::~Sender()
{
    drop();
}

void Sender::start()
{
    thread_ = std::thread([this] { send_messages(); });
}

void Sender::end_sending()
{
    done_ = true;
    if (thread_.joinable()) {
        thread_.join();
    }
}

void Sender::finish()
{
    end_sending();
    shutdown(fd_, SHUT_WR);
}

void Sender::drop()
{
    end_sending();
    if (fd_ >= 0) {
        close(std::exchange(fd_, -1));
    }
}

void Sender::reset()
{
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    drop();
}

void Sender::send_messages()
{
    const std::vector<char> message(flow_.message, 'x');
    auto next = std::chrono::steady_clock::now();
    while (!done_) {
        if (!paused_) {
            const ssize_t length =
                send(fd_, message.data(), message.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
            sent_ += length > 0 ? static_cast<std::uint64_t>(length) : 0;
        }
        // After a moment without a CPU, what was missed is not sent all at once.
        next = std::max(next + flow_.spacing, std::chrono::steady_clock::now() - kMostBehind);
        std::this_thread::sleep_until(next);
    }
}

}  // namespace drainwatch::live
