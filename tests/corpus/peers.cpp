#include "corpus/peers.hpp"

#include "support/control.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <stdexcept>

namespace drainwatch::corpus {
namespace {

constexpr std::uint64_t kNsPerUs = 1000;

/// A ClientHello of TLS 1.2 in one record: one cipher suite, no session, no extension.
std::vector<char> client_hello()
{
    std::vector<char> hello{0x16, 0x03, 0x01, 0x00, 0x2d, 0x01, 0x00, 0x00, 0x29, 0x03, 0x03};
    hello.insert(hello.end(), 32, 0x5a);  // random
    const std::array<char, 7> rest{0x00, 0x00, 0x02, static_cast<char>(0xc0), 0x2f, 0x01, 0x00};
    hello.insert(hello.end(), rest.begin(), rest.end());
    return hello;
}

int connect_to(std::uint16_t port, const Plan& plan)
{
    const bool v6 = plan.family == Family::v6;
    const int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (plan.mss > 0) {
        const int mss = static_cast<int>(plan.mss);
        setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof(mss));
    }
    sockaddr_in6 to6{};
    to6.sin6_family = AF_INET6;
    to6.sin6_port = htons(port);
    to6.sin6_addr = in6addr_loopback;
    sockaddr_in to4{};
    to4.sin_family = AF_INET;
    to4.sin_port = htons(port);
    to4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int failed = v6 ? connect(fd, reinterpret_cast<sockaddr*>(&to6), sizeof(to6))
                          : connect(fd, reinterpret_cast<sockaddr*>(&to4), sizeof(to4));
    if (failed != 0) {
        throw std::runtime_error("a peer could not connect");
    }
    return fd;
}

/// Goes without a word: a socket in repair mode sends no FIN.
void vanish(int fd)
{
    const int on = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)) != 0) {
        throw std::runtime_error("no repair mode for a half-open connection");
    }
    close(fd);
}

/// Sleeps are cut short by it: none is longer.
constexpr std::uint64_t kLongestSleepNs = 20'000'000;

std::uint64_t monotonic_ns()
{
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000 +
           static_cast<std::uint64_t>(t.tv_nsec);
}

}  // namespace

Peers::Peers(std::uint16_t port, const Plan& plan) : plan_(plan)
{
    message_ = plan.trouble == Trouble::unread_hello ? client_hello()
                                                     : std::vector<char>(plan.message_bytes, 'x');
    for (std::uint32_t i = 0; i < plan.links; i++) {
        peers_.push_back({connect_to(port, plan), 0, false});
    }
    for (std::uint32_t i = 0; i < plan.idle_links; i++) {
        crowd_.push_back(connect_to(port, plan));
    }
    for (std::uint32_t i = 0; i < plan.half_open; i++) {
        vanish(connect_to(port, plan));
    }
}

Peers::~Peers()
{
    done_ = true;
    if (thread_.joinable()) {
        thread_.join();
    }
    for (const Peer& peer : peers_) {
        close(peer.fd);
    }
    for (const int fd : crowd_) {
        close(fd);
    }
}

std::vector<std::uint16_t> Peers::ports() const
{
    std::vector<std::uint16_t> ports;
    for (const Peer& peer : peers_) {
        sockaddr_in6 address{};
        socklen_t length = sizeof(address);
        getsockname(peer.fd, reinterpret_cast<sockaddr*>(&address), &length);
        ports.push_back(ntohs(address.sin6_port));  // at the same place as sin_port
    }
    return ports;
}

void Peers::start()
{
    thread_ = std::thread([this] { run(); });
}

void Peers::send_next(Peer& peer)
{
    if (plan_.reading == Reading::by_requests) {
        std::array<char, 64> answer;
        if (peer.awaits_answer && recv(peer.fd, answer.data(), answer.size(), MSG_DONTWAIT) <= 0) {
            return;
        }
        peer.awaits_answer = true;
    }
    for (std::uint32_t i = 0; i < plan_.burst; i++) {
        (void)send(peer.fd, message_.data(), message_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    }
}

void Peers::run()
{
    const std::uint64_t spacing_ns = std::uint64_t{plan_.spacing_us} * plan_.burst * kNsPerUs;
    const std::uint64_t began_ns = monotonic_ns();
    for (std::size_t i = 0; i < peers_.size(); i++) {
        peers_[i].due_ns = began_ns + i * spacing_ns / peers_.size();
    }
    while (!done_) {
        const std::uint64_t now_ns = monotonic_ns();
        std::uint64_t next_ns = now_ns + kLongestSleepNs;
        for (Peer& peer : peers_) {
            while (peer.due_ns <= now_ns) {
                send_next(peer);
                peer.due_ns =
                    plan_.trouble == Trouble::unread_hello ? ~0ULL : peer.due_ns + spacing_ns;
            }
            next_ns = std::min(next_ns, peer.due_ns);
        }
        const timespec until{static_cast<time_t>(next_ns / 1'000'000'000),
                             static_cast<long>(next_ns % 1'000'000'000)};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
    }
}

}  // namespace drainwatch::corpus
