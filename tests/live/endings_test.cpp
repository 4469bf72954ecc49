// How a link in trouble ends.
#include "support/scenario.hpp"

#include <sys/socket.h>
#include <unistd.h>
#include <csignal>

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
    expect_reset("by the peer", "peer");
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
