// Readers that stop, or read too little: warned of before the zero window.
#include "support/scenario.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <array>
#include <csignal>

namespace drainwatch::live {
namespace {

using namespace std::chrono_literals;

/// Zero comes about a second and a half after the last read at 240 messages a second.
const Listen kSmallBuffer{.rcvbuf = 48 * 1024};

class Stall : public Scenario {};

TEST_F(Stall, reader_that_sleeps)
{
    play(kSmallBuffer, {}, read_all);
    nap(1500ms);
    control().hold = true;
    wait_for_zero(10s);
    control().hold = false;
    EXPECT_TRUE(watcher().wait_for(about(sender(), event_is("window_reopened")), 5s));
    const auto recovered = watcher().wait_for(about(sender(), event_is("recovered")), 5s);
    ASSERT_TRUE(recovered);
    EXPECT_GT(recovered->json["lead_ms"], 0);
    EXPECT_EQ(recovered->json["process"]["comm"], comm());
    expect_warned_before_zero();
    EXPECT_EQ(watcher().lines(event_is("recovered")).size(), 1U);
}

TEST_F(Stall, sigstop)
{
    play(kSmallBuffer, {}, read_all);
    nap(1500ms);
    target().process().signal(SIGSTOP);
    wait_for_zero(10s);
    target().process().signal(SIGCONT);
    EXPECT_TRUE(watcher().wait_for(about(sender(), event_is("recovered")), 5s));
    expect_warned_before_zero();
}

TEST_F(Stall, reader_of_single_bytes)
{
    play(kSmallBuffer, {}, [](int fd, Control& control) {
        char byte = 0;
        while (!control.quit) {
            control.bytes_read += recv(fd, &byte, 1, MSG_DONTWAIT) == 1 ? 1 : 0;
            nap(2ms);
        }
    });
    wait_for_zero(10s);
    expect_warned_before_zero();
    EXPECT_FALSE(watcher().lines(event_is("falling_behind")).empty());
}

TEST_F(Stall, peeking_is_not_reading)
{
    play(kSmallBuffer, {}, [](int fd, Control& control) {
        std::array<char, 4096> buffer;
        while (!control.quit) {
            const int flags = MSG_DONTWAIT | (control.hold ? MSG_PEEK : 0);
            const ssize_t length = recv(fd, buffer.data(), buffer.size(), flags);
            if (!control.hold && length > 0) {
                control.bytes_read += static_cast<std::uint64_t>(length);
            }
            nap(2ms);
        }
    });
    nap(1s);
    control().hold = true;
    wait_for_zero(10s);
    expect_warned_before_zero();
}

TEST_F(Stall, reader_that_is_too_slow)
{
    play(kSmallBuffer, {}, [](int fd, Control& control) {
        std::array<char, 90> buffer;  // of 150 that come in the same time
        while (!control.quit) {
            const ssize_t length = recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
            control.bytes_read += length > 0 ? static_cast<std::uint64_t>(length) : 0;
            nap(4100us);
        }
    });
    wait_for_zero(20s);
    expect_warned_before_zero();
    EXPECT_FALSE(watcher().lines(event_is("falling_behind")).empty());
}

class FastFill : public Scenario, public ::testing::WithParamInterface<std::size_t> {};

/// Zero about 0.3, 0.5 and 0.7 s after the last read.
INSTANTIATE_TEST_SUITE_P(Bytes, FastFill, ::testing::Values(6500, 4000, 2000));

TEST_P(FastFill, is_warned_of_in_time)
{
    play({.rcvbuf = 96 * 1024}, {.message = GetParam(), .spacing = 5000us}, read_all);
    nap(1s);
    control().hold = true;
    wait_for_zero(10s);
    expect_warned_before_zero();
}

TEST_F(Stall, fast_fill_of_a_connection_that_was_never_read)
{
    const Flow fast{.message = 1000, .spacing = 5000us};
    play({.rcvbuf = 64 * 1024}, fast, [](int /*fd*/, Control& /*control*/) {});
    wait_for_zero(10s);
    expect_warned_before_zero();
}

TEST_F(Stall, connection_that_is_never_accepted)
{
    make_target(kSmallBuffer, accept_nothing);
    capture();
    watch();
    connect({}).start();
    wait_for_zero(10s);
    expect_warned_before_zero();
    const auto lines = watcher().lines(about(sender(), is_trouble));
    ASSERT_FALSE(lines.empty());
    EXPECT_TRUE(lines.front().json["socket"]["fd"].is_null());
    EXPECT_EQ(lines.front().json["process"]["comm"], comm());
    EXPECT_TRUE(lines.front().json["last_read_ms"].is_null());
}

TEST_F(Stall, already_under_way_at_the_start)
{
    make_target(kSmallBuffer, Target::one_connection([](int, Control&) {}));
    connect({}).start();
    nap(4s);  // the window has closed by now
    watch();
    const auto warning = watcher().wait_for(about(sender(), is_trouble), 1s);
    ASSERT_TRUE(warning);
    EXPECT_TRUE(warning->json["unread_age_is_lower_bound"]);
    EXPECT_GT(warning->json["unread_age_ms"], 1000);
    const auto start = watcher().lines(event_is("start")).front();
    EXPECT_LT(warning->read_ns - start.read_ns, 1'000'000'000U);
    EXPECT_EQ(finish(), 2);
}

TEST_F(Stall, never_accepted_and_already_under_way)
{
    make_target(kSmallBuffer, accept_nothing);
    Sender& sender = connect({});
    sender.start();
    nap(1s);
    sender.pause();
    nap(2s);
    watch();
    const auto warning = watcher().wait_for(about(sender, is_trouble), 1s);
    ASSERT_TRUE(warning);
    EXPECT_TRUE(warning->json["socket"]["fd"].is_null());
    EXPECT_EQ(warning->json["process"]["comm"], comm());
    EXPECT_TRUE(warning->json["unread_age_is_lower_bound"]);
    finish();
}

TEST_F(Stall, sixty_four_sockets_at_once)
{
    constexpr int kSockets = 64;
    make_target(kSmallBuffer, [](int listener, Control& control) {
        std::array<int, kSockets> fds{};
        for (int& fd : fds) {
            fd = accept(listener, nullptr, nullptr);
            control.accepted++;
        }
        std::array<char, 4096> buffer;
        while (!control.quit) {
            for (const int fd : fds) {
                while (!control.hold && recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT) > 0) {
                }
            }
            nap(2ms);
        }
    });
    capture();
    watch();
    for (int i = 0; i < kSockets; i++) {
        connect({.message = 150, .spacing = 10'000us}).start();
    }
    ASSERT_TRUE(wait_until([&] { return control().accepted == kSockets; }, 5s));
    nap(1s);
    control().hold = true;
    const std::uint64_t held_ns = realtime_ns();
    for (const auto& sender : senders()) {
        EXPECT_TRUE(watcher().wait_for(about(*sender, event_is("zero_window")), 15s));
    }
    control().hold = false;
    for (const auto& sender : senders()) {
        EXPECT_TRUE(watcher().wait_for(about(*sender, event_is("recovered")), 5s));
    }
    EXPECT_EQ(finish(), 2);
    for (const auto& sender : senders()) {
        const auto lines = watcher().lines(about(*sender));
        const auto trouble = watcher().lines(about(*sender, is_trouble));
        ASSERT_FALSE(trouble.empty());
        EXPECT_EQ(lines.front().event(), trouble.front().event());
        EXPECT_LE(trouble.size(), 2U) << "one raise per severity";
        const auto zero = witness().first_zero_ns(sender->port());
        ASSERT_TRUE(zero);
        const double possible = static_cast<double>(*zero - held_ns);
        const double lead =
            static_cast<double>(*zero) - static_cast<double>(trouble.front().read_ns);
        EXPECT_GE(lead / possible, 0.75);
        const auto told = watcher().lines(about(*sender, event_is("zero_window")));
        expect_announced(*sender, told.front());
        EXPECT_EQ(watcher().lines(about(*sender, event_is("recovered"))).size(), 1U);
    }
}

}  // namespace
}  // namespace drainwatch::live
