#include "support/target.hpp"

#include "support/namespace.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <array>
#include <stdexcept>
#include <thread>

namespace drainwatch::live {

using namespace std::chrono_literals;

void nap(std::chrono::microseconds time)
{
    std::this_thread::sleep_for(time);
}

void read_all(int fd, Control& control)
{
    std::array<char, 65536> buffer;
    while (!control.quit) {
        if (control.hold) {
            nap(1ms);
            continue;
        }
        pollfd ready{fd, POLLIN, 0};
        if (poll(&ready, 1, 10) <= 0) {
            continue;
        }
        const ssize_t length = recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (length == 0) {
            return;
        }
        if (length > 0) {
            control.bytes_read += static_cast<std::uint64_t>(length);
        }
    }
}

void accept_nothing(int /*listener*/, Control& control)
{
    while (!control.quit) {
        nap(1ms);
    }
}

int listen_on_loopback(const Listen& listen_as, std::uint16_t& port)
{
    const bool v6 = listen_as.family == AF_INET6 || listen_as.v4_mapped;
    const int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM, listen_as.protocol);
    if (listen_as.rcvbuf > 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &listen_as.rcvbuf, sizeof(listen_as.rcvbuf));
    }
    sockaddr_in6 v6_address{};
    sockaddr_in v4_address{};
    socklen_t length = 0;
    sockaddr* address = nullptr;
    if (v6) {
        v6_address.sin6_family = AF_INET6;
        v6_address.sin6_addr = listen_as.v4_mapped ? in6addr_any : in6addr_loopback;
        address = reinterpret_cast<sockaddr*>(&v6_address);
        length = sizeof(v6_address);
    } else {
        v4_address.sin_family = AF_INET;
        v4_address.sin_addr.s_addr = htonl(listen_as.address);
        v4_address.sin_port = htons(listen_as.port);
        address = reinterpret_cast<sockaddr*>(&v4_address);
        length = sizeof(v4_address);
    }
    if (bind(fd, address, length) != 0 || listen(fd, listen_as.backlog) != 0 ||
        getsockname(fd, address, &length) != 0) {
        throw std::runtime_error("cannot listen on loopback");
    }
    port = ntohs(v6 ? v6_address.sin6_port : v4_address.sin_port);
    return fd;
}

int connect_on_loopback(std::uint16_t port, std::uint32_t address)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(address);
    to.sin_port = htons(port);
    if (connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0) {
        throw std::runtime_error("cannot connect on loopback");
    }
    return fd;
}

Target::Target(const std::string& comm, const Listen& listen_as, const Body& body)
{
    Control& control = *control_;
    process_.emplace(Process::fork([&] {
        prctl(PR_SET_NAME, comm.c_str());
        enter_namespace(listen_as.netns);
        std::uint16_t port = 0;
        const int listener = listen_on_loopback(listen_as, port);
        control.port = port;
        body(listener, control);
    }));
    if (!wait_until([&] { return control.port != 0; }, 5s)) {
        throw std::runtime_error("the target did not listen");
    }
    port_ = static_cast<std::uint16_t>(control.port.load());
}

Target::Body Target::one_connection(std::function<void(int, Control&)> reader)
{
    return [reader = std::move(reader)](int listener, Control& control) {
        const int fd = accept(listener, nullptr, nullptr);
        control.accepted++;
        reader(fd, control);
        // An early end of the reader is no end of the connection.
        while (!control.quit) {
            nap(1ms);
        }
    };
}

}  // namespace drainwatch::live
