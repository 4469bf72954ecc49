#include "bench/traffic.hpp"

#include "support/target.hpp"

#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <stdexcept>

namespace drainwatch::bench {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMessage = 64;
constexpr std::size_t kBulk = 65536;
constexpr auto kWarmUp = 30ms;
/// Connections go to so many addresses, or the ports of those that wait out their end run short.
constexpr std::uint32_t kAddresses = 64;

void wait_for_switch(const TrafficControl& control)
{
    while (!control.on) {
        live::nap(100us);
    }
}

/// Where the n-th of many connections goes.
std::uint32_t address_of(std::uint64_t n)
{
    return INADDR_LOOPBACK + static_cast<std::uint32_t>(n % kAddresses);
}

void echo_one(int listener, TrafficControl& control)
{
    const int fd = accept(listener, nullptr, nullptr);
    control.ready++;
    std::array<char, kMessage> message{};
    while (recv(fd, message.data(), message.size(), 0) > 0) {
        (void)send(fd, message.data(), message.size(), MSG_NOSIGNAL);
    }
}

void ask_again_and_again(std::uint16_t port, TrafficControl& control)
{
    const int fd = live::connect_on_loopback(port);
    control.ready++;
    std::array<char, kMessage> message{};
    while (true) {
        wait_for_switch(control);
        (void)send(fd, message.data(), message.size(), MSG_NOSIGNAL);
        (void)recv(fd, message.data(), message.size(), 0);
        control.done++;
    }
}

void read_bulk(int listener, TrafficControl& control)
{
    const int fd = accept(listener, nullptr, nullptr);
    control.ready++;
    std::vector<char> buffer(kBulk);
    for (ssize_t length = 0; (length = recv(fd, buffer.data(), buffer.size(), 0)) > 0;) {
        control.done += static_cast<std::uint64_t>(length);
    }
}

void send_bulk(std::uint16_t port, TrafficControl& control)
{
    const int fd = live::connect_on_loopback(port);
    control.ready++;
    const std::vector<char> buffer(kBulk);
    while (true) {
        wait_for_switch(control);
        (void)send(fd, buffer.data(), buffer.size(), MSG_NOSIGNAL);
    }
}

void answer_each(int listener, TrafficControl& control)
{
    control.ready++;
    std::array<char, kMessage> message{};
    while (true) {
        const int fd = accept(listener, nullptr, nullptr);
        (void)recv(fd, message.data(), message.size(), 0);
        (void)send(fd, message.data(), message.size(), MSG_NOSIGNAL);
        (void)recv(fd, message.data(), message.size(), 0);  // its end
        close(fd);
    }
}

/// One message there, one or a reset back, and the end.
void connect_each(std::uint16_t port, TrafficControl& control)
{
    control.ready++;
    std::array<char, kMessage> message{};
    while (true) {
        wait_for_switch(control);
        const int fd = live::connect_on_loopback(port, address_of(control.done));
        (void)send(fd, message.data(), message.size(), MSG_NOSIGNAL);
        (void)recv(fd, message.data(), message.size(), 0);
        close(fd);
        control.done++;
    }
}

/// Closes what it has not read, which is a reset.
void reset_each(int listener, TrafficControl& control)
{
    control.ready++;
    while (true) {
        const int fd = accept(listener, nullptr, nullptr);
        pollfd ready{fd, POLLIN, 0};
        poll(&ready, 1, 1000);
        close(fd);
    }
}

void need_no_server(int /*listener*/, TrafficControl& control)
{
    control.ready++;
    pause();
}

void start_processes(std::uint16_t /*port*/, TrafficControl& control)
{
    control.ready++;
    while (true) {
        wait_for_switch(control);
        const pid_t child = fork();
        if (child == 0) {
            execl("/bin/true", "true", nullptr);
            _exit(127);
        }
        waitpid(child, nullptr, 0);
        control.done++;
    }
}

void become(const std::string& comm, int cpu)
{
    prctl(PR_SET_NAME, comm.c_str());
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(static_cast<std::size_t>(cpu), &cpus);
    sched_setaffinity(0, sizeof(cpus), &cpus);
}

}  // namespace

const std::vector<TrafficKind>& traffic_kinds()
{
    static const std::vector<TrafficKind> kKinds{
        {"pingpong", "round trips", echo_one, ask_again_and_again, 0, 0},
        {"pingpong2", "round trips", echo_one, ask_again_and_again, 1, 0},
        {"bulk", "bytes", read_bulk, send_bulk, 0, 0},
        {"bulk2", "bytes", read_bulk, send_bulk, 1, 0},
        {"connections", "connections", answer_each, connect_each, 0, 0},
        {"resets", "connections", reset_each, connect_each, 0, 0},
        {"processes", "processes", need_no_server, start_processes, 0, 0},
    };
    return kKinds;
}

const TrafficKind& traffic_kind(const std::string& name)
{
    const auto& kinds = traffic_kinds();
    const auto found = std::find_if(kinds.begin(), kinds.end(),
                                    [&](const TrafficKind& kind) { return kind.name == name; });
    if (found == kinds.end()) {
        throw std::runtime_error("no such traffic: " + name);
    }
    return *found;
}

Traffic::Traffic(const TrafficKind& kind, const std::string& comm)
{
    TrafficControl& control = *control_;
    processes_.push_back(live::Process::fork([&] {
        become(comm, kind.server_cpu);
        std::uint16_t port = 0;
        const int listener = live::listen_on_loopback({.address = INADDR_ANY}, port);
        control.port = port;
        kind.server(listener, control);
    }));
    if (!live::wait_until([&] { return control.port != 0; }, 5s)) {
        throw std::runtime_error("no server");
    }
    processes_.push_back(live::Process::fork([&] {
        become(comm, kind.client_cpu);
        kind.client(port(), control);
    }));
    if (!live::wait_until([&] { return control.ready == processes_.size(); }, 5s)) {
        throw std::runtime_error("the traffic is not ready");
    }
}

void Traffic::start()
{
    control_->on = true;
    live::nap(kWarmUp);
}

void Traffic::stop()
{
    control_->on = false;
}

double Traffic::measure(std::chrono::milliseconds block) const
{
    const std::uint64_t before = control_->done;
    const auto began = Clock::now();
    live::nap(block);
    const std::uint64_t done = control_->done - before;
    const std::chrono::duration<double> took = Clock::now() - began;
    return static_cast<double>(done) / took.count();
}

}  // namespace drainwatch::bench
