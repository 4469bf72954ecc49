#include "crowd.hpp"

#include "support/control.hpp"
#include "support/target.hpp"

#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <atomic>
#include <stdexcept>

namespace drainwatch::measure {
namespace {

using namespace std::chrono_literals;

/// Of each link, the most that a CTI link carries.
constexpr auto kSpacing = 4167us;
constexpr std::size_t kMessage = 150;

/// A process holds at most this many: descriptors are limited.
constexpr unsigned kSocketsOfAProcess = 8000;

int connect_to(std::uint16_t port)
{
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
        throw std::runtime_error("cannot connect on loopback");
    }
    return fd;
}

/// Both ends of idle connections.
void make_idle(unsigned connections)
{
    std::uint16_t port = 0;
    const int listener = live::listen_on_loopback({}, port);
    for (unsigned i = 0; i < connections; i++) {
        connect_to(port);
        accept(listener, nullptr, nullptr);
    }
}

/// Accepts, and reads whatever comes as soon as it does.
void read_links(int listener, unsigned links, live::Control& control)
{
    std::vector<pollfd> watched;
    for (unsigned i = 0; i < links; i++) {
        watched.push_back({accept(listener, nullptr, nullptr), POLLIN, 0});
        control.accepted++;
    }
    std::array<char, 65536> buffer;
    while (!control.quit) {
        poll(watched.data(), watched.size(), 100);
        for (const pollfd& link : watched) {
            if (link.revents != 0) {
                (void)recv(link.fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
            }
        }
    }
}

void feed_links(std::uint16_t port, unsigned links)
{
    std::vector<int> fds(links);
    std::generate(fds.begin(), fds.end(), [&] { return connect_to(port); });
    const std::array<char, kMessage> message{};
    while (true) {
        for (const int fd : fds) {
            (void)send(fd, message.data(), message.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
            live::nap(kSpacing / links);
        }
    }
}

}  // namespace

Crowd::Crowd(const char* comm, unsigned links, unsigned sockets)
{
    live::SharedControl control;
    const unsigned idle = sockets - 2 * links;
    const unsigned of_target = std::min(idle, kSocketsOfAProcess);
    processes_.push_back(live::Process::fork([&] {
        prctl(PR_SET_NAME, comm);
        make_idle(of_target / 2);
        std::uint16_t port = 0;
        const int listener = live::listen_on_loopback({}, port);
        control->port = port;
        read_links(listener, links, *control);
    }));
    unsigned made = 1;
    for (unsigned left = idle - of_target; left > 0;) {
        const unsigned here = std::min(left, kSocketsOfAProcess);
        left -= here;
        made++;
        processes_.push_back(live::Process::fork([&] {
            make_idle(here / 2);
            control->child++;
            while (true) {
                pause();
            }
        }));
    }
    const auto ready = [&] { return control->port != 0 && control->child + 1 == made; };
    if (!live::wait_until(ready, 60s)) {
        throw std::runtime_error("the sockets were not made");
    }
    port_ = static_cast<std::uint16_t>(control->port.load());
    processes_.push_back(live::Process::fork([&] { feed_links(port_, links); }));
    if (!live::wait_until([&] { return control->accepted == links; }, 10s)) {
        throw std::runtime_error("the links were not made");
    }
}

}  // namespace drainwatch::measure
