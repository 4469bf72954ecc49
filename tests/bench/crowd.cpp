#include "bench/crowd.hpp"

#include "support/target.hpp"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <stdexcept>
#include <thread>

namespace drainwatch::bench {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMessage = 150;

/// A process holds at most this many: descriptors are limited.
constexpr unsigned kSocketsOfAProcess = 16'000;

/// Both ends of idle connections.
void make_idle(unsigned connections)
{
    std::uint16_t port = 0;
    const int listener = live::listen_on_loopback({}, port);
    for (unsigned i = 0; i < connections; i++) {
        (void)live::connect_on_loopback(port);
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

void feed_links(std::uint16_t port, const CrowdPlan& plan, const live::Control& control)
{
    std::vector<int> fds(plan.links);
    std::generate(fds.begin(), fds.end(), [&] { return live::connect_on_loopback(port); });
    const std::array<char, kMessage> message{};
    const auto between = plan.spacing / plan.links;
    auto next = std::chrono::steady_clock::now();
    for (std::size_t i = 0;; i = (i + 1) % fds.size()) {
        if (control.hold) {
            live::nap(1ms);
            next = std::chrono::steady_clock::now();
            continue;
        }
        (void)send(fds[i], message.data(), message.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        next += between;
        std::this_thread::sleep_until(next);
    }
}

}  // namespace

void Crowd::hold_idle(const std::string& comm, unsigned sockets)
{
    const std::uint32_t before = control_->child;
    unsigned made = 0;
    for (; sockets > 0; made++) {
        const unsigned here = std::min(sockets, kSocketsOfAProcess);
        sockets -= here;
        processes_.push_back(live::Process::fork([&] {
            prctl(PR_SET_NAME, comm.c_str());
            make_idle(here / 2);
            control_->child++;
            while (true) {
                pause();
            }
        }));
    }
    if (!live::wait_until([&] { return control_->child == before + made; }, 60s)) {
        throw std::runtime_error("the sockets were not made");
    }
}

Crowd::Crowd(const CrowdPlan& plan)
{
    const bool all_of_target = plan.of_target == plan.sockets;
    const std::string other = "bench-crowd";
    const unsigned of_links = 2 * plan.links;
    hold_idle(plan.comm, plan.of_target - (all_of_target ? of_links : plan.links));
    hold_idle(other, plan.sockets - plan.of_target - (all_of_target ? 0 : plan.links));
    control_->hold = true;
    processes_.push_back(live::Process::fork([&] {
        prctl(PR_SET_NAME, plan.comm.c_str());
        std::uint16_t port = 0;
        const int listener = live::listen_on_loopback({}, port);
        control_->port = port;
        read_links(listener, plan.links, *control_);
    }));
    if (!live::wait_until([&] { return control_->port != 0; }, 5s)) {
        throw std::runtime_error("nobody listens for the links");
    }
    processes_.push_back(live::Process::fork([&] {
        prctl(PR_SET_NAME, (all_of_target ? plan.comm : other).c_str());
        feed_links(port(), plan, *control_);
    }));
    if (!live::wait_until([&] { return control_->accepted == plan.links; }, 10s)) {
        throw std::runtime_error("the links were not made");
    }
}

}  // namespace drainwatch::bench
