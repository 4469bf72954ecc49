// Buffers in which the window does not tell the truth.
#include "support/scenario.hpp"

namespace drainwatch::live {
namespace {

using namespace std::chrono_literals;

class Buffers : public Scenario {};

/// Path B: memory runs out long before the window does.
TEST_F(Buffers, tiny_segments_in_a_small_locked_buffer)
{
    play({.rcvbuf = 20'000}, {.message = 1, .spacing = 2000us}, read_all);
    nap(1s);
    control().hold = true;
    wait_for_zero(20s);
    expect_warned_before_zero();
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
