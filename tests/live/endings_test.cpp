// How a link in trouble ends.
#include "support/process_status.hpp"
#include "support/scenario.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>
#include <csignal>
#include <vector>

namespace drainwatch::live {
namespace {

using namespace std::chrono_literals;

class Endings : public Scenario {
protected:
    /// A reader that stops, warned of.
    void stall()
    {
        play({}, {.message = 150, .spacing = 20'000us}, [](int fd, Control& own) {
            read_all(fd, own);
            close(fd);
        });
        nap(500ms);
        control().hold = true;
        ASSERT_TRUE(watcher().wait_for(about(sender(), is_trouble), 4s));
        nap(20ms);  // an episode that lasts
    }

    Line expect_reset(const std::string& who, const std::string& side)
    {
        const auto reset = watcher().wait_for(about(sender(), event_is("link_reset")), 3s);
        EXPECT_TRUE(reset) << "no link_reset";
        if (!reset) {
            return {};
        }
        EXPECT_EQ(reset->json["severity"], "warning");
        EXPECT_EQ(reset->json["side"], polls() ? Json() : Json(side));
        EXPECT_GT(reset->json["unread_bytes"], 0);
        EXPECT_EQ(reset->json["episode"], 1);
        EXPECT_GT(reset->json["duration_ms"], 0);
        EXPECT_NE(std::string(reset->json["reason"]).find(who), std::string::npos)
            << reset->json["reason"];
        finish();
        EXPECT_EQ(watcher().lines(event_is("link_reset")).size(), 1U);
        EXPECT_TRUE(watcher().lines(event_is("recovered")).empty());
        // tcpdump saw it at the same time
        for (const Segment& s : witness().segments()) {
            if (s.rst) {
                EXPECT_NEAR(static_cast<double>(parse_time(reset->json["reset_at"])),
                            static_cast<double>(s.at_ns), polls() ? 75e6 : 5e6);
                return *reset;
            }
        }
        ADD_FAILURE() << "tcpdump saw no reset";
        return *reset;
    }
};

TEST_F(Endings, reset_by_the_peer)
{
    stall();
    sender().reset();
    expect_reset(polls() ? "the link broke" : "by the peer", "peer");
}

TEST_F(Endings, closed_with_unread_data)
{
    if (polls()) {
        GTEST_SKIP() << "to polling a link that this side resets is one that has ended";
    }
    stall();
    control().quit = true;  // the reader closes without having read
    const Line reset = expect_reset("by this side", "local");
    EXPECT_EQ(reset.json["by_pid"], target().pid());
}

TEST_F(Endings, killed_with_unread_data)
{
    if (polls()) {
        GTEST_SKIP() << "to polling a link that this side resets is one that has ended";
    }
    stall();
    target().process().signal(SIGKILL);
    const Line reset = expect_reset("by this side", "local");
    EXPECT_EQ(reset.json["process"]["comm"], comm()) << "named even after its end";
}

/// The incident itself: the peer gives up, resets, and connects anew at once. The new connection
/// may take the place of the old one in every table; the reset is told all the same.
TEST_F(Endings, reset_and_connected_anew)
{
    constexpr int kLinks = 20;
    make_target({}, [](int listener, Control& control) {
        while (!control.quit) {
            accept(listener, nullptr, nullptr);  // and never reads
            control.accepted++;
        }
    });
    watch();
    for (int i = 0; i < kLinks; i++) {
        connect({.message = 150, .spacing = 20'000us}).start();
    }
    for (const auto& sender : senders()) {
        ASSERT_TRUE(watcher().wait_for(about(*sender, is_trouble), 4s));
    }
    for (int i = 0; i < kLinks; i++) {
        Sender& old = *senders()[static_cast<std::size_t>(i)];
        old.reset();
        connect({});
    }
    nap(500ms);
    finish();
    for (int i = 0; i < kLinks; i++) {
        const Sender& old = *senders()[static_cast<std::size_t>(i)];
        EXPECT_EQ(watcher().lines(about(old, event_is("link_reset"))).size(), 1U);
    }
    EXPECT_EQ(watcher().lines(event_is("summary")).front().json["resets"], kLinks);
}

/// The link dies in silence: the kernel gives it up, and nobody sends a reset.
TEST_F(Endings, given_up_with_unread_data)
{
    if (polls()) {
        GTEST_SKIP() << "to polling it may as well have been reset";
    }
    play({}, {.message = 150, .spacing = 20'000us}, [](int fd, Control& own) {
        constexpr unsigned kTimeoutMs = 1000;
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &kTimeoutMs, sizeof(kTimeoutMs));
        const std::vector<char> bytes(1 << 16);
        while (send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT) > 0) {
            nap(1ms);  // until the peer, which does not read, closes its window
        }
        while (!own.quit) {
            nap(10ms);
        }
        close(fd);
    });
    nap(500ms);
    sender().pause();  // each of its segments would put the next probe of its window off
    const auto ended = watcher().wait_for(about(sender(), event_is("link_ended")), 20s);
    ASSERT_TRUE(ended) << "no link_ended";
    EXPECT_EQ(ended->json["severity"], "warning");
    EXPECT_EQ(ended->json["error"], "ETIMEDOUT");
    EXPECT_EQ(ended->json["episode"], 1);
    const auto warnings = [&] { return watcher().lines(event_is("not_draining")).size(); };
    const std::size_t warned = warnings();
    nap(2500ms);
    EXPECT_EQ(warnings(), warned) << "nobody can help any more";
    finish();
    EXPECT_EQ(watcher().lines(event_is("link_ended")).size(), 1U);
    EXPECT_TRUE(watcher().lines(event_is("link_reset")).empty());
}

/// The target has said its last word, and the peer then says its own: to the kernel the connection
/// is past, but what lies unread may be read. A reader that does not is told of, and one that does
/// in the end has recovered.
TEST_F(Endings, last_words_are_read_late)
{
    if (polls()) {
        GTEST_SKIP() << "what is past is in no table";
    }
    play({}, {.message = 150, .spacing = 20'000us}, [](int fd, Control& own) {
        shutdown(fd, SHUT_WR);
        own.hold = true;
        read_all(fd, own);  // once it is let, to the end
        while (!own.quit) {
            nap(10ms);
        }
        close(fd);
    });
    nap(300ms);
    sender().pause();
    sender().finish();
    const auto is_critical = [](const Line& l) {
        return l.event() == "not_draining" && l.json["severity"] == "critical";
    };
    const auto critical = watcher().wait_for(about(sender(), is_critical), 8s);
    ASSERT_TRUE(critical) << "nobody said that it is not read";
    EXPECT_EQ(critical->json["queue_bytes"], sender().sent() + 1) << "and the FIN";
    const auto wakes = [&] {
        return std::stoul(status_of(watcher().pid())["voluntary_ctxt_switches:"]);
    };
    const unsigned long wakes_before = wakes();
    nap(1s);
    EXPECT_LT(wakes() - wakes_before, 200U) << "it turns round and round";
    control().hold = false;
    EXPECT_TRUE(watcher().wait_for(about(sender(), event_is("recovered")), 4s));
    finish();
    EXPECT_TRUE(watcher().lines(event_is("link_reset")).empty());
    EXPECT_TRUE(watcher().lines(event_is("link_ended")).empty());
}

/// The same, and there the reset of polling is a guess that would be wrong.
TEST_F(Endings, last_words_are_no_reset)
{
    play({}, {.message = 150, .spacing = 20'000us}, [](int fd, Control& own) {
        shutdown(fd, SHUT_WR);
        while (!own.quit) {
            nap(10ms);
        }
        close(fd);
    });
    nap(500ms);
    sender().pause();
    nap(200ms);
    sender().finish();
    nap(1500ms);
    finish();
    EXPECT_TRUE(watcher().lines(event_is("link_reset")).empty());
}

/// Nobody is in trouble: an ending is no news.
TEST_F(Endings, orderly_close_is_silent)
{
    play({}, {}, read_all);
    nap(500ms);
    sender().pause();
    nap(100ms);
    sender().finish();
    control().quit = true;
    nap(500ms);
    expect_silence();
}

}  // namespace
}  // namespace drainwatch::live
