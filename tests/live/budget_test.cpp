// --cpu-budget: past it the most expensive and least needed hook goes first, and polling comes
// last.
#include "support/kernel_objects.hpp"
#include "support/scenario.hpp"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <atomic>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace drainwatch::live {
namespace {

using namespace std::chrono_literals;

class Budget : public Scenario {};

/// A datagram that is looked at again and again, many times in a system call: millions of events a
/// second of one hook, which are counted.
[[nodiscard]] Process flood_of_peeks(std::chrono::seconds time, std::atomic<std::uint64_t>& events)
{
    return Process::fork([time, &events] {
        constexpr std::size_t kAtOnce = 1000;
        const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        sockaddr_in self{};
        self.sin_family = AF_INET;
        self.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t length = sizeof(self);
        (void)bind(fd, reinterpret_cast<sockaddr*>(&self), length);
        getsockname(fd, reinterpret_cast<sockaddr*>(&self), &length);
        char byte = 0;
        sendto(fd, &byte, 1, 0, reinterpret_cast<sockaddr*>(&self), length);
        iovec room{&byte, 1};
        std::vector<mmsghdr> looks(kAtOnce);
        for (mmsghdr& look : looks) {
            look.msg_hdr.msg_iov = &room;
            look.msg_hdr.msg_iovlen = 1;
        }
        const auto end = std::chrono::steady_clock::now() + time;
        while (std::chrono::steady_clock::now() < end) {
            const int seen = recvmmsg(fd, looks.data(), kAtOnce, MSG_PEEK | MSG_DONTWAIT, nullptr);
            events += static_cast<std::uint64_t>(std::max(seen, 0));
        }
    });
}

/// A small message from this process to itself, again and again: every hook of the data's way, a
/// million events a second.
void exchange_messages(std::chrono::seconds time)
{
    std::uint16_t port = 0;
    const int listener = listen_on_loopback({}, port);
    const Sender sender(port, {});
    const int fd = accept(listener, nullptr, nullptr);
    const auto end = std::chrono::steady_clock::now() + time;
    std::array<char, 64> message{};
    while (std::chrono::steady_clock::now() < end) {
        send(sender.fd(), message.data(), message.size(), 0);
        recv(fd, message.data(), message.size(), 0);
    }
    close(fd);
    close(listener);
}

[[nodiscard]] Process flood_of_messages(std::chrono::seconds time)
{
    return Process::fork([time] { exchange_messages(time); });
}

/// CPU time of a process and of the BPF programs that it holds, as the kernel counts it. The
/// programs' time has what counting costs in it.
std::chrono::nanoseconds cpu_time_over(pid_t pid, std::chrono::milliseconds time)
{
    const auto spent = [pid] {
        std::uint64_t ns = 0;
        std::ifstream("/proc/" + std::to_string(pid) + "/schedstat") >> ns;
        return ns + run_time_ns(objects_of(pid).programs);
    };
    const int statistics = bpf_enable_stats(BPF_STATS_RUN_TIME);
    const std::uint64_t before = spent();
    nap(time);
    const std::uint64_t after = spent();
    close(statistics);
    return std::chrono::nanoseconds(after - before);
}

/// Of a core, at most, for two seconds.
[[nodiscard]] bool takes_one_percent(pid_t pid)
{
    const auto spent = cpu_time_over(pid, 2s);
    const auto percent = fmt::format("{:.2f}", static_cast<double>(spent.count()) / 2e7);
    testing::Test::RecordProperty("cpu_percent", percent);
    return spent < 20ms;
}

Predicate degraded(const std::string& state, const std::string& part)
{
    return [=](const Line& line) {
        return line.event() == "degraded" && line.json["state"] == state &&
               line.json["part"] == part;
    };
}

TEST_F(Budget, a_flood_of_events_is_kept_within_the_budget)
{
    if (polls()) {
        GTEST_SKIP() << "polling sees no events";
    }
    cpu_budget_ = "1%";
    play({}, {.message = 150, .spacing = 20'000us}, read_all);
    const Json hooked = watcher().lines(event_is("start")).front().json["programs"];
    if (std::find(hooked.begin(), hooked.end(), "sock_recv_length") == hooked.end()) {
        GTEST_SKIP() << "nothing is hooked that a look at a datagram would pass";
    }
    nap(1s);
    EXPECT_TRUE(watcher().lines(event_is("degraded")).empty());
    constexpr auto kFlood = 7s;
    constexpr std::uint64_t kEventsASecond = 1'000'000;
    const Shared<std::atomic<std::uint64_t>> events;
    Process flood = flood_of_peeks(kFlood, *events);
    const auto shed = watcher().wait_for(degraded("shed", "sock_recv_length"), 3s);
    ASSERT_TRUE(shed);
    EXPECT_EQ(shed->json["severity"], "warning");
    EXPECT_GT(shed->json["cost_percent"], 1);
    EXPECT_NE(shed->json["not_seen"], "");
    const auto names_the_option = [](const Line& line) {
        return line.json["reason"].get<std::string>().find("--cpu-budget") != std::string::npos;
    };
    EXPECT_TRUE(names_the_option(*shed)) << shed->json["reason"];
    EXPECT_TRUE(takes_one_percent(watcher().pid()));
    control().hold = true;
    EXPECT_TRUE(watcher().wait_for(about(sender(), is_trouble), 2s));
    control().hold = false;
    EXPECT_EQ(flood.wait(), 0);
    if (!on_emulated_machine()) {
        EXPECT_GT(*events, kEventsASecond * kFlood.count()) << "the scene is not what it should be";
    }
    const auto restored = watcher().wait_for(degraded("restored", "sock_recv_length"), 20s);
    ASSERT_TRUE(restored);
    EXPECT_EQ(restored->json["severity"], "info");
    EXPECT_FALSE(names_the_option(*restored)) << restored->json["reason"];
    EXPECT_EQ(finish(), 1);
    EXPECT_EQ(watcher().lines(about(sender(), event_is("recovered"))).size(), 1U);
}

/// The flood is the target's own: when nothing else helps it is polled, and another link of the
/// same process is watched all the time.
TEST_F(Budget, a_flood_on_a_watched_socket_is_kept_within_the_budget)
{
    if (polls()) {
        GTEST_SKIP() << "polling sees no events";
    }
    cpu_budget_ = "1%";
    play({}, {.message = 150, .spacing = 20'000us}, [](int fd, Control& own) {
        std::thread flooding([&own] {
            while (own.child == 0 && !own.quit) {
                nap(1ms);
            }
            exchange_messages(14s);
        });
        read_all(fd, own);
        flooding.join();
    });
    nap(1s);
    EXPECT_TRUE(watcher().lines(event_is("degraded")).empty());
    control().child = 1;
    ASSERT_TRUE(watcher().wait_for(degraded("shed", "every hook"), 7s));
    nap(500ms);  // what the change has cost is not the load's
    // What polling costs is the machine's affair; where it is too much, looks are halved in time.
    if (!takes_one_percent(watcher().pid())) {
        ASSERT_TRUE(watcher().wait_for(degraded("shed", "looks"), 2s));
        EXPECT_TRUE(takes_one_percent(watcher().pid()));
    }
    control().hold = true;
    EXPECT_TRUE(watcher().wait_for(about(sender(), is_trouble), 3s));
    control().hold = false;
    EXPECT_TRUE(watcher().wait_for(about(sender(), event_is("recovered")), 5s));
    EXPECT_TRUE(watcher().wait_for(degraded("restored", "every hook"), 20s));
    EXPECT_EQ(watcher().lines(about(sender(), is_trouble)).size(), 1U);
    finish();
}

/// Nothing is cheap enough: everything is detached, and polled. The stall that is under way then is
/// one episode, from before that to after it.
TEST_F(Budget, at_worst_it_polls_and_comes_back)
{
    if (polls()) {
        GTEST_SKIP() << "it does so from the start";
    }
    cpu_budget_ = "0.2%";
    play({}, {.message = 150, .spacing = 20'000us}, read_all);
    nap(500ms);
    control().hold = true;
    ASSERT_TRUE(watcher().wait_for(about(sender(), is_trouble), 3s));
    Process flood = flood_of_messages(10s);
    ASSERT_TRUE(watcher().wait_for(degraded("shed", "every hook"), 10s));
    EXPECT_EQ(objects_of(watcher().pid()).links, std::set<std::uint32_t>{});
    EXPECT_EQ(flood.wait(15'000), 0);
    ASSERT_TRUE(watcher().wait_for(degraded("restored", "every hook"), 20s));
    nap(1s);
    control().hold = false;
    ASSERT_TRUE(watcher().wait_for(about(sender(), event_is("recovered")), 5s));
    finish();
    const auto lines = watcher().lines(about(sender()));
    std::vector<std::string> events;
    events.reserve(lines.size());
    for (const Line& line : lines) {
        // Whether the window closes meanwhile is the kernel's affair.
        if (line.event() != "zero_window" && line.event() != "window_reopened") {
            events.push_back(line.event() + " " + line.json["severity"].get<std::string>());
        }
    }
    EXPECT_EQ(events, (std::vector<std::string>{"not_draining warning", "not_draining critical",
                                                "recovered info"}));
}

/// Who has the port of a target's listener that has ended is a stranger, whether that ended while
/// nothing was hooked or later.
TEST_F(Budget, listeners_of_before_a_pause_are_forgotten)
{
    if (polls()) {
        GTEST_SKIP() << "it has no hooks to come back to";
    }
    constexpr auto kStranger = [](std::uint16_t port) {
        return Process::fork([port] {
            std::uint16_t same = 0;
            Listen listen;
            listen.port = port;
            (void)listen_on_loopback(listen, same);
            nap(60s);
        });
    };
    cpu_budget_ = "0.2%";
    make_target({}, [](int first, Control& own) {
        std::uint16_t port = 0;
        const int second = listen_on_loopback({}, port);
        own.child = port;
        for (const int listener : {first, second}) {
            while (own.hold == (listener == second)) {
                nap(1ms);
            }
            close(listener);
            own.accepted++;
        }
        nap(60s);
    });
    ASSERT_TRUE(wait_until([&] { return control().child != 0; }, 5s));
    watch();
    {
        const Process flood = flood_of_messages(20s);
        ASSERT_TRUE(watcher().wait_for(degraded("shed", "every hook"), 10s));
    }
    control().hold = true;
    ASSERT_TRUE(wait_until([&] { return control().accepted == 1; }, 5s));
    const Process first = kStranger(target().port());
    nap(100ms);
    connect({}).start();
    ASSERT_TRUE(watcher().wait_for(degraded("restored", "every hook"), 20s));
    nap(1s);
    control().hold = false;
    ASSERT_TRUE(wait_until([&] { return control().accepted == 2; }, 5s));
    const auto port = static_cast<std::uint16_t>(control().child.load());
    const Process second = kStranger(port);
    nap(100ms);
    Sender late(port, {});
    late.start();
    nap(2500ms);
    finish();
    EXPECT_TRUE(watcher().lines(is_trouble).empty());
}

/// Sockets that are reset before nothing is hooked, and closed meanwhile, leave the table empty.
TEST_F(Budget, sockets_that_end_during_a_pause_give_their_slots_back)
{
    if (polls()) {
        GTEST_SKIP() << "it has no hooks to come back to";
    }
    constexpr int kTable = 256;
    cpu_budget_ = "0.2%";
    make_target({.backlog = 1024}, [](int listener, Control& own) {
        std::vector<int> fds;
        while (!own.hold) {
            fds.push_back(accept(listener, nullptr, nullptr));
            own.accepted++;
        }
        for (const int fd : fds) {
            close(fd);
        }
        own.child = 1;
        nap(60s);
    });
    watch({"--max-sockets", "256"});
    std::vector<std::unique_ptr<Sender>> held;
    held.reserve(kTable);
    for (int i = 0; i < kTable; i++) {
        held.push_back(std::make_unique<Sender>(target().port(), Flow{}));
        ASSERT_EQ(send(held.back()->fd(), "unread", 6, 0), 6);
    }
    ASSERT_TRUE(wait_until([&] { return control().accepted == kTable; }, 5s));
    for (const auto& sender : held) {
        sender->reset();
    }
    {
        const Process flood = flood_of_messages(20s);
        ASSERT_TRUE(watcher().wait_for(degraded("shed", "every hook"), 10s));
    }
    control().hold = true;
    connect({});  // so that accept() returns
    ASSERT_TRUE(wait_until([&] { return control().child == 1; }, 5s));
    ASSERT_TRUE(watcher().wait_for(degraded("restored", "every hook"), 20s));
    nap(1s);
    Sender& late = connect({.message = 150, .spacing = 20'000us});
    late.start();
    EXPECT_TRUE(watcher().wait_for(about(late, is_trouble), 5s));
    finish();
    for (const Line& lost : watcher().lines(event_is("lost"))) {
        EXPECT_EQ(lost.json["table_full"], 0);
    }
}

}  // namespace
}  // namespace drainwatch::live
