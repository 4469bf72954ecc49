// Readers that do their work: nothing may be said.
#include "support/scenario.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <array>
#include <chrono>
#include <thread>

namespace drainwatch::live {
namespace {

using namespace std::chrono_literals;

class Healthy : public Scenario {};

TEST_F(Healthy, reader_that_keeps_up)
{
    play({}, {}, read_all);
    nap(5s);
    expect_silence();
}

TEST_F(Healthy, bulk_transfer)
{
    play({}, {.message = 65536, .spacing = 1000us}, read_all);
    nap(5s);
    expect_silence();
}

TEST_F(Healthy, pauses_shorter_than_warn_after)
{
    // 5 KB/s: no zero within the horizon
    play({}, {.message = 100, .spacing = 20'000us}, read_all);
    for (int i = 0; i < 5; i++) {
        nap(500ms);
        control().hold = true;
        nap(800ms);
        control().hold = false;
    }
    nap(500ms);
    expect_silence();
}

TEST_F(Healthy, habitual_pauses_are_learned)
{
    // 36 KB/s into a buffer that would close within the horizon, were the reader to stay away
    play({.rcvbuf = 96 * 1024}, {}, read_all);
    nap(1s);
    std::uint64_t fourth_ns = 0;
    for (int i = 0; i < 8; i++) {
        if (i == 3) {
            fourth_ns = realtime_ns();
        }
        control().hold = true;
        nap(std::chrono::milliseconds(600 + 20 * (i % 3)));
        control().hold = false;
        nap(1s);
    }
    finish();
    for (const Line& line : watcher().lines(is_trouble)) {
        EXPECT_LT(line.read_ns, fourth_ns) << "a habit, not a stall: " << line.json;
    }
    EXPECT_TRUE(watcher().lines(event_is("zero_window")).empty());
}

TEST_F(Healthy, slow_but_sufficient)
{
    play({}, {}, [](int fd, Control& control) {
        std::array<char, 200> buffer;  // of 150 that come in the same time
        while (!control.quit) {
            recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
            nap(4100us);
        }
    });
    nap(6s);
    expect_silence();
}

TEST_F(Healthy, reads_in_batches)
{
    play({.rcvbuf = 96 * 1024}, {}, [](int fd, Control& control) {
        std::array<char, 65536> buffer;
        while (!control.quit) {
            recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
            nap(150ms);
        }
    });
    nap(6s);
    expect_silence();
}

/// It has a backlog from before the watch, which does not grow: nobody saw it come.
TEST_F(Healthy, reads_on_from_a_backlog)
{
    make_target({}, Target::one_connection([](int fd, Control& own) {
                    nap(800ms);
                    std::array<char, 2000> buffer{};
                    auto next = std::chrono::steady_clock::now();
                    while (!own.quit) {
                        recv(fd, buffer.data(), buffer.size(), 0);
                        std::this_thread::sleep_until(next += 50ms);
                    }
                }));
    capture();
    connect({.message = 1000, .spacing = 25'000us}).start();
    nap(1500ms);
    watch();
    nap(2s);
    expect_silence();
}

/// An urgent byte that was read with MSG_OOB stays at the head of the queue, and epoll does not
/// tell of it: nothing is left to do for the reader.
TEST_F(Healthy, urgent_data_that_was_read)
{
    if (polls()) {
        GTEST_SKIP() << "polling does not know of urgent data";
    }
    make_target({}, Target::one_connection([](int fd, Control& control) {
                    pollfd urgent{fd, POLLPRI, 0};
                    poll(&urgent, 1, 5000);
                    char byte = 0;
                    control.bytes_read += recv(fd, &byte, 1, MSG_OOB) == 1 ? 1 : 0;
                }));
    capture();
    watch();
    Sender& sender = connect({});
    ASSERT_EQ(send(sender.fd(), "!", 1, MSG_OOB), 1);
    nap(3s);
    EXPECT_EQ(control().bytes_read, 1U);
    expect_silence();
}

TEST_F(Healthy, waits_for_whole_messages_with_rcvlowat)
{
    if (polls()) {
        GTEST_SKIP() << "polling does not know SO_RCVLOWAT";
    }
    // 400 bytes lie there for seconds; the reader has asked not to be told before there are 1000.
    make_target({}, Target::one_connection([](int fd, Control& control) {
                    const int lowat = 1000;
                    setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &lowat, sizeof(lowat));
                    control.accepted++;
                }));
    capture();
    watch();
    Sender& sender = connect({.message = 100, .spacing = 100'000us});
    ASSERT_TRUE(wait_until([&] { return control().accepted == 2; }, 5s));
    sender.start();
    ASSERT_TRUE(wait_until([&] { return sender.sent() >= 400; }, 5s));
    sender.pause();
    nap(3s);
    expect_silence();
}

}  // namespace
}  // namespace drainwatch::live
