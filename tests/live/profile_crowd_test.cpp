// More connections than `profile` has room for at once: it is for those with traffic.
#include "support/profile_run.hpp"
#include "support/scenario.hpp"

#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <memory>
#include <vector>

namespace drainwatch::live {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kConnections = 1400;  // it has room for 1024
constexpr std::size_t kBusy = 300;          // connected last: they have none when it begins
constexpr std::uint64_t kRounds = 10;
constexpr std::string_view kMessage = "as long as this";

/// Reads every connection as soon as it has something.
void read_whatever_comes(int listener, Control& control)
{
    const int set = epoll_create1(EPOLL_CLOEXEC);
    const auto add = [set](int fd) {
        epoll_event event{EPOLLIN, {.fd = fd}};
        epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
    };
    for (std::size_t i = 0; i < kConnections; i++) {
        add(accept(listener, nullptr, nullptr));
        control.accepted++;
    }
    std::array<char, 1024> message{};
    while (!control.quit) {
        epoll_event ready{};
        if (epoll_wait(set, &ready, 1, 10) == 1) {
            recv(ready.data.fd, message.data(), message.size(), 0);
        }
    }
}

TEST(ProfileCrowd, sockets_with_traffic_are_measured_before_idle_ones)
{
    if (geteuid() != 0) {
        GTEST_SKIP() << "live tests need root";
    }
    rlimit descriptors{};
    getrlimit(RLIMIT_NOFILE, &descriptors);
    descriptors.rlim_cur = descriptors.rlim_max;
    setrlimit(RLIMIT_NOFILE, &descriptors);
    if (descriptors.rlim_max < kConnections + 100) {
        GTEST_SKIP() << "a process may not have so many descriptors here";
    }
    const std::string comm = unique_comm();
    Target target(comm, {.backlog = static_cast<int>(kConnections)}, read_whatever_comes);
    std::vector<std::unique_ptr<Sender>> links;
    for (std::size_t i = 0; i < kConnections; i++) {
        links.push_back(std::make_unique<Sender>(target.port(), Flow{}));
    }
    ASSERT_TRUE(wait_until([&] { return target.control().accepted == kConnections; }, 5s));
    ProfileRun run(comm, {"--per", "socket"});
    nap(1200ms);  // idle long enough to make room
    for (std::uint64_t round = 0; round < kRounds; round++) {
        for (std::size_t i = kConnections - kBusy; i < kConnections; i++) {
            send(links[i]->fd(), kMessage.data(), kMessage.size(), MSG_NOSIGNAL);
        }
        nap(500ms);
    }
    const Json profile = run.stop();
    target.control().quit = true;
    // A socket that is given its place by its first message is measured from the second on; and
    // there is room for all of them after some looks.
    std::size_t measured = 0;
    for (const Json& group : profile.at("groups")) {
        EXPECT_LE(group["reads"], kRounds);
        measured += group["read_latency_ns"]["count"] >= kRounds / 2 ? 1 : 0;
    }
    EXPECT_EQ(measured, kBusy);
    EXPECT_EQ(profile["not_measured"]["samples"], 0);
}

}  // namespace
}  // namespace drainwatch::live
