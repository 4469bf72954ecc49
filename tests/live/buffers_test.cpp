// Buffers in which the window does not tell the truth.
#include "support/scenario.hpp"

#include <sys/socket.h>
#include <fstream>
#include <sstream>
#include <string>

namespace drainwatch::live {
namespace {

using namespace std::chrono_literals;

class Buffers : public Scenario {};

/// Segments that this host dropped because a socket had no memory left.
std::uint64_t segments_dropped()
{
    std::ifstream netstat("/proc/net/netstat");
    std::string names;
    std::string values;
    while (std::getline(netstat, names) && std::getline(netstat, values)) {
        std::istringstream name_of(names);
        std::istringstream value_of(values);
        std::string name;
        std::string value;
        while (name_of >> name && value_of >> value) {
            if (name == "TCPRcvQDrop") {
                return std::stoull(value);
            }
        }
    }
    return 0;
}

/// Path B: a window of 64 KB was announced, then the buffer was made smaller. It cannot be taken
/// back, so memory runs out long before the window does, and small segments hasten it.
TEST_F(Buffers, tiny_segments_in_a_small_locked_buffer)
{
    play({}, {.message = 20, .spacing = 2000us}, [](int fd, Control& control) {
        const int small = 20'000;
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
        read_all(fd, control);
    });
    nap(1s);
    const std::uint64_t dropped = segments_dropped();
    control().hold = true;
    ASSERT_TRUE(wait_until([&] { return segments_dropped() > dropped; }, 20s));
    nap(1s);
    if (watcher().lines(event_is("zero_window")).empty()) {
        finish();
        EXPECT_FALSE(witness().first_zero_ns(sender().port())) << "a zero window was not reported";
        EXPECT_FALSE(watcher().lines(about(sender(), is_trouble)).empty()) << "no warning";
        GTEST_SKIP() << "without memory this kernel drops what comes, and announces no zero window "
                        "(Linux before 6.6); the stall was warned of";
    }
    wait_for_zero(1s);
    const auto last = watcher().lines(is_trouble).back();
    EXPECT_GT(last.json["headroom_bytes"], 20'000) << "not path B";
    expect_warned_before_zero();
}

/// Segments of one byte cost 800 times their payload, until the kernel collapses them: the memory
/// goes up and down, and a reader that pauses shortly is in no danger.
TEST_F(Buffers, memory_that_the_kernel_can_take_back_is_no_danger)
{
    play({}, {.message = 1, .spacing = 1000us}, [](int fd, Control& control) {
        const int small = 20'000;
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
        read_all(fd, control);
    });
    nap(500ms);
    for (int i = 0; i < 3; i++) {
        control().hold = true;
        nap(700ms);
        control().hold = false;
        nap(300ms);
    }
    expect_silence();
}

/// Nobody reads, and the window stays open: only the age tells.
TEST_F(Buffers, autotuned_with_slow_traffic)
{
    play({}, {.message = 150, .spacing = 20'000us}, read_all);
    nap(1s);
    control().hold = true;
    const auto warning = watcher().wait_for(about(sender(), is_trouble), 3s);
    ASSERT_TRUE(warning);
    EXPECT_EQ(warning->json["event"], "not_draining");
    EXPECT_GE(warning->json["unread_age_ms"], 1000);
    EXPECT_LT(warning->json["unread_age_ms"], 1100);
    EXPECT_TRUE(watcher().wait_for(
        [](const Line& l) { return l.is_trouble() && l.json["severity"] == "critical"; }, 3s));
    control().hold = false;
    EXPECT_TRUE(watcher().wait_for(event_is("recovered"), 5s));
    EXPECT_EQ(finish(), 2);
    EXPECT_TRUE(watcher().lines(event_is("zero_window")).empty());
}

TEST_F(Buffers, autotuned_with_full_traffic)
{
    play({}, {}, read_all);
    nap(1s);
    control().hold = true;
    wait_for_zero(20s);
    expect_warned_before_zero();
}

TEST_F(Buffers, fin_with_unread_data)
{
    play({}, {.message = 150, .spacing = 20'000us}, read_all);
    nap(500ms);
    control().hold = true;
    nap(200ms);
    sender().finish();
    const auto warning = watcher().wait_for(about(sender(), is_trouble), 3s);
    ASSERT_TRUE(warning);
    EXPECT_GE(warning->json["unread_age_ms"], 1000);
    control().hold = false;
    EXPECT_TRUE(watcher().wait_for(event_is("recovered"), 5s));
    finish();
}

TEST_F(Buffers, fin_alone_is_no_unread_data)
{
    play({}, {.message = 150, .spacing = 20'000us}, read_all);
    nap(500ms);
    sender().pause();
    nap(100ms);
    control().hold = true;
    sender().finish();
    nap(3s);
    EXPECT_EQ(finish(), 0);
    EXPECT_TRUE(watcher().lines(is_trouble).empty());
}

}  // namespace
}  // namespace drainwatch::live
