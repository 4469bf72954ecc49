// Zero windows: told by notices, and healed by the counters of samples where notices were lost.
#include "detect/monitor.hpp"

#include "durations.hpp"
#include "link.hpp"

#include <gtest/gtest.h>

namespace drainwatch::monitor_window_test {
namespace {

using test::kBegin;
using test::kMs;
using test::kSecond;
using test::Link;
using Kind = Alert::Kind;
using NoticeKind = SocketNotice::Kind;

class MonitorWindow : public ::testing::Test {
protected:
    void SetUp() override { link_.arrive(1000, kBegin); }

    std::vector<Kind> look(std::uint64_t at_ns)
    {
        return keep(monitor_.observe(link_.sample(at_ns)));
    }

    std::vector<Kind> notice(NoticeKind kind, std::uint64_t at_ns, std::uint32_t value)
    {
        return keep(
            monitor_.notice(link_.notice(kind, at_ns, value), link_.sample(at_ns + 1 * kMs)));
    }

    std::vector<Kind> keep(const std::vector<Alert>& alerts)
    {
        std::vector<Kind> kinds;
        kinds.reserve(alerts.size());
        for (const Alert& a : alerts) {
            kinds.push_back(a.kind);
        }
        if (!alerts.empty()) {
            last_ = alerts.back();
        }
        return kinds;
    }

    /// It closes at kBegin + 100 ms, and opens at this time: both are told.
    void close_and_open(std::uint64_t opens_ns)
    {
        link_.close_window(kBegin + 100 * kMs);
        EXPECT_EQ(look(kBegin + 110 * kMs), zero_);
        link_.open_window(opens_ns);
        EXPECT_EQ(look(opens_ns + 10 * kMs), reopened_);
    }

    Monitor monitor_{Limits{}};
    Link link_;
    Alert last_;
    const std::vector<Kind> none_{};
    const std::vector<Kind> zero_{Kind::zero_window};
    const std::vector<Kind> reopened_{Kind::window_reopened};
};

TEST_F(MonitorWindow, IsToldByTheNotice)
{
    EXPECT_EQ(look(kBegin + 10 * kMs), none_);
    link_.close_window(kBegin + 20 * kMs);
    EXPECT_EQ(notice(NoticeKind::zero_window, kBegin + 20 * kMs, 1), zero_);
    EXPECT_EQ(last_.severity, Severity::critical);
    EXPECT_EQ(last_.at_ns, kBegin + 20 * kMs);
    EXPECT_EQ(last_.episode, 1U);
    EXPECT_EQ(last_.lead_ns, std::nullopt);
    EXPECT_EQ(last_.zero_in_s, std::nullopt);
    EXPECT_EQ(last_.reason, "zero window announced");
    EXPECT_EQ(look(kBegin + 50 * kMs), none_);
    EXPECT_EQ(monitor_.totals().zero_windows, 1U);
    EXPECT_EQ(monitor_.totals().episodes, 1U);
}

TEST_F(MonitorWindow, IsToldByTheNoticeOfASocketNeverSeenBefore)
{
    link_.close_window(kBegin + 20 * kMs);
    EXPECT_EQ(notice(NoticeKind::zero_window, kBegin + 20 * kMs, 1), zero_);
    EXPECT_EQ(look(kBegin + 50 * kMs), none_);
    EXPECT_EQ(monitor_.totals().zero_windows, 1U);
}

TEST_F(MonitorWindow, ADuplicateNoticeIsNone)
{
    link_.close_window(kBegin + 20 * kMs);
    EXPECT_EQ(notice(NoticeKind::zero_window, kBegin + 20 * kMs, 1), zero_);
    EXPECT_EQ(notice(NoticeKind::zero_window, kBegin + 20 * kMs, 1), none_);
    link_.open_window(kBegin + 30 * kMs);
    EXPECT_EQ(notice(NoticeKind::reopened, kBegin + 30 * kMs, 1), reopened_);
    EXPECT_EQ(notice(NoticeKind::reopened, kBegin + 30 * kMs, 1), none_);
    EXPECT_EQ(notice(NoticeKind::zero_window, kBegin + 20 * kMs, 1), none_);
    EXPECT_EQ(monitor_.totals().zero_windows, 1U);
}

TEST_F(MonitorWindow, ALostNoticeIsHealedByTheNextLook)
{
    EXPECT_EQ(look(kBegin + 10 * kMs), none_);
    link_.close_window(kBegin + 20 * kMs);
    EXPECT_EQ(look(kBegin + 60 * kMs), zero_);
    EXPECT_EQ(last_.at_ns, kBegin + 20 * kMs);  // when it was announced, not when it was seen
    EXPECT_EQ(notice(NoticeKind::zero_window, kBegin + 20 * kMs, 1), none_);  // late, not lost
    link_.open_window(kBegin + 70 * kMs);
    EXPECT_EQ(look(kBegin + 110 * kMs), reopened_);
    EXPECT_EQ(last_.at_ns, kBegin + 70 * kMs);
    EXPECT_EQ(last_.severity, Severity::info);
    EXPECT_EQ(notice(NoticeKind::reopened, kBegin + 70 * kMs, 1), none_);
    EXPECT_EQ(monitor_.totals().zero_windows, 1U);
}

TEST_F(MonitorWindow, ClosedAndReopenedBetweenTwoLooksIsToldInOrder)
{
    EXPECT_EQ(look(kBegin + 10 * kMs), none_);
    link_.close_window(kBegin + 20 * kMs);
    link_.open_window(kBegin + 30 * kMs);
    EXPECT_EQ(look(kBegin + 60 * kMs), (std::vector{Kind::zero_window, Kind::window_reopened}));
}

TEST_F(MonitorWindow, AllThatWereMissedAreCounted)
{
    EXPECT_EQ(look(kBegin + 10 * kMs), none_);
    for (std::uint64_t i = 0; i < 4; i++) {
        link_.close_window(kBegin + (20 + 2 * i) * kMs);
        link_.open_window(kBegin + (21 + 2 * i) * kMs);
    }
    EXPECT_EQ(look(kBegin + 60 * kMs), (std::vector{Kind::zero_window, Kind::window_reopened}));
    EXPECT_EQ(monitor_.totals().zero_windows, 4U);
    EXPECT_EQ(monitor_.totals().episodes, 1U);
}

TEST_F(MonitorWindow, ALostNoticeIsCountedByTheNextNotice)
{
    EXPECT_EQ(look(kBegin + 10 * kMs), none_);
    for (std::uint64_t i = 0; i < 3; i++) {
        link_.close_window(kBegin + (20 + i) * kMs);
    }
    EXPECT_EQ(notice(NoticeKind::zero_window, kBegin + 22 * kMs, 3), zero_);
    EXPECT_EQ(monitor_.totals().zero_windows, 3U);
    EXPECT_EQ(look(kBegin + 60 * kMs), none_);
    EXPECT_EQ(monitor_.totals().zero_windows, 3U);
}

TEST_F(MonitorWindow, ReopeningOfAnEarlierZeroWindowIsNotThatOfThisOne)
{
    link_.close_window(kBegin + 20 * kMs);
    EXPECT_EQ(notice(NoticeKind::zero_window, kBegin + 20 * kMs, 1), zero_);
    link_.open_window(kBegin + 30 * kMs);
    EXPECT_EQ(notice(NoticeKind::reopened, kBegin + 30 * kMs, 1), reopened_);
    link_.close_window(kBegin + 11 * kSecond);
    EXPECT_EQ(notice(NoticeKind::zero_window, kBegin + 11 * kSecond, 2), zero_);
    EXPECT_EQ(notice(NoticeKind::reopened, kBegin + 30 * kMs, 1), none_);
    EXPECT_EQ(notice(NoticeKind::reopened, kBegin + 12 * kSecond, 2), reopened_);
}

TEST_F(MonitorWindow, EveryZeroWindowThatWasToldIsToldToHaveReopened)
{
    link_.close_window(kBegin + 20 * kMs);
    EXPECT_EQ(notice(NoticeKind::zero_window, kBegin + 20 * kMs, 1), zero_);
    // Its reopening is lost; the next zero window is too near to be told.
    link_.close_window(kBegin + 1 * kSecond);
    EXPECT_EQ(notice(NoticeKind::zero_window, kBegin + 1 * kSecond, 2), none_);
    link_.open_window(kBegin + 1100 * kMs);
    EXPECT_EQ(notice(NoticeKind::reopened, kBegin + 1100 * kMs, 2), reopened_);
}

TEST_F(MonitorWindow, ASampleOlderThanTheNoticeChangesNothing)
{
    EXPECT_EQ(look(kBegin + 10 * kMs), none_);
    const SocketSample older = link_.sample(kBegin + 19 * kMs);
    link_.close_window(kBegin + 20 * kMs);
    EXPECT_EQ(notice(NoticeKind::zero_window, kBegin + 20 * kMs, 1), zero_);
    // Neither a zero window nor four thousand millions of them.
    EXPECT_EQ(keep(monitor_.observe(older)), none_);
    EXPECT_EQ(monitor_.totals().zero_windows, 1U);
    EXPECT_EQ(look(kBegin + 50 * kMs), none_);
    EXPECT_EQ(monitor_.totals().zero_windows, 1U);
}

TEST_F(MonitorWindow, LeadIsTheTimeFromTheFirstWarning)
{
    for (std::uint64_t t = 50; t <= 1000; t += 50) {
        (void)look(kBegin + t * kMs);
    }
    ASSERT_EQ(last_.kind, Kind::not_draining);
    ASSERT_EQ(last_.at_ns, kBegin + 1 * kSecond);
    link_.close_window(kBegin + 1700 * kMs);
    EXPECT_EQ(notice(NoticeKind::zero_window, kBegin + 1700 * kMs, 1), zero_);
    EXPECT_EQ(last_.lead_ns, 700 * kMs);
    EXPECT_EQ(last_.reason, "zero window announced, 700 ms after the first warning");
    EXPECT_EQ(last_.episode, 1U);
    link_.read_all(kBegin + 1800 * kMs);
    link_.open_window(kBegin + 1800 * kMs);
    EXPECT_EQ(look(kBegin + 1850 * kMs), reopened_);
    EXPECT_EQ(look(kBegin + 2050 * kMs), std::vector{Kind::recovered});
    EXPECT_EQ(last_.lead_ns, 700 * kMs);
    EXPECT_EQ(last_.zero_windows, 1U);
    EXPECT_EQ(last_.duration_ns, 850 * kMs);
    EXPECT_FALSE(monitor_.follows(Cookie{77}));
}

TEST_F(MonitorWindow, NoRecoveryWhileClosed)
{
    link_.close_window(kBegin + 20 * kMs);
    EXPECT_EQ(notice(NoticeKind::zero_window, kBegin + 20 * kMs, 1), zero_);
    link_.read_all(kBegin + 30 * kMs);  // drained, but the peer has not been told yet
    for (std::uint64_t t = 50; t <= 3000; t += 50) {
        EXPECT_EQ(look(kBegin + t * kMs), none_);
    }
    EXPECT_TRUE(monitor_.follows(Cookie{77}));
    link_.open_window(kBegin + 3010 * kMs);
    EXPECT_EQ(look(kBegin + 3050 * kMs), reopened_);
    EXPECT_EQ(look(kBegin + 3250 * kMs), std::vector{Kind::recovered});
}

TEST_F(MonitorWindow, ClosedBeforeTheWatchBeganHasTheTimeOfTheLook)
{
    SocketSample& s = link_.raw();
    s.age_is_lower_bound = true;
    s.closed = true;
    s.zero_count = 1;  // as the kernel side sets it; nobody saw it happen
    EXPECT_EQ(look(kBegin + 10 * kMs), (std::vector{Kind::not_draining, Kind::zero_window}));
    EXPECT_EQ(last_.at_ns, kBegin + 10 * kMs);
    EXPECT_TRUE(last_.was_before);
    EXPECT_EQ(last_.reason, "zero window: it was closed before the watch began");
    EXPECT_EQ(monitor_.totals().zero_windows, 1U);
}

TEST_F(MonitorWindow, WhatWasClosedAndReopenedBeforeItWasFollowedIsHistory)
{
    for (std::uint64_t i = 0; i < 3; i++) {
        link_.close_window(kBegin - 20 * kSecond);
        link_.open_window(kBegin - 19 * kSecond);
    }
    EXPECT_EQ(look(kBegin + 10 * kMs), none_);
    link_.close_window(kBegin + 20 * kMs);
    EXPECT_EQ(look(kBegin + 60 * kMs), zero_);
    EXPECT_EQ(monitor_.totals().zero_windows, 1U);
}

TEST_F(MonitorWindow, AReaderOfSingleBytesIsNoFlood)
{
    int zeros = 0;
    int reopenings = 0;
    for (std::uint32_t i = 0; i < 1000; i++) {  // for 9.99 s
        const std::uint64_t at = kBegin + i * 10 * kMs;
        link_.close_window(at);
        zeros += static_cast<int>(notice(NoticeKind::zero_window, at, i + 1).size());
        link_.open_window(at + 5 * kMs);
        link_.read(1, at + 5 * kMs);
        reopenings += static_cast<int>(notice(NoticeKind::reopened, at + 5 * kMs, i + 1).size());
    }
    EXPECT_EQ(zeros, 1);
    EXPECT_EQ(reopenings, 1);
    EXPECT_EQ(monitor_.totals().zero_windows, 1000U);
    EXPECT_EQ(monitor_.totals().episodes, 1U);
    link_.close_window(kBegin + 10 * kSecond);
    EXPECT_EQ(notice(NoticeKind::zero_window, kBegin + 10 * kSecond, 1001), zero_);
}

TEST_F(MonitorWindow, OneThatClosesAgainAndStaysClosedIsTold)
{
    close_and_open(kBegin + 500 * kMs);
    link_.close_window(kBegin + 1000 * kMs);
    EXPECT_EQ(look(kBegin + 1010 * kMs), (std::vector{Kind::not_draining}));
    EXPECT_EQ(look(kBegin + 5000 * kMs), (std::vector{Kind::not_draining})) << "is critical";
    EXPECT_TRUE(monitor_.all_told().empty()) << "the source would not tell of it any more";
    EXPECT_EQ(look(kBegin + 10'099 * kMs), none_);
    EXPECT_EQ(look(kBegin + 10'100 * kMs), zero_);
    EXPECT_EQ(last_.at_ns, kBegin + 1000 * kMs);
    EXPECT_EQ(last_.reason, "zero window announced again, 9.1 s ago, and closed since");
    EXPECT_EQ(look(kBegin + 30'000 * kMs), none_);
    EXPECT_EQ(monitor_.totals().zero_windows, 2U);
    link_.read_all(kBegin + 31'000 * kMs);
    link_.open_window(kBegin + 31'000 * kMs);
    EXPECT_EQ(look(kBegin + 31'001 * kMs), reopened_);
}

TEST_F(MonitorWindow, OneThatOpensAgainBeforeItsTimeIsNotTold)
{
    close_and_open(kBegin + 200 * kMs);
    link_.close_window(kBegin + 300 * kMs);
    EXPECT_EQ(look(kBegin + 310 * kMs), none_);
    link_.open_window(kBegin + 400 * kMs);
    EXPECT_EQ(look(kBegin + 410 * kMs), none_);
    EXPECT_EQ(look(kBegin + 900 * kMs), none_);
}

TEST_F(MonitorWindow, ASourceThatTakesOverDoesNotOpenIt)
{
    link_.close_window(kBegin + 100 * kMs);
    EXPECT_EQ(look(kBegin + 110 * kMs), zero_);
    monitor_.source_changed();
    SocketSample& sample = link_.raw();
    sample.closed = false;  // it was so before this source came, which knows of nothing
    sample.zero_ns = 0;
    sample.zero_count = 0;
    sample.window.rmem = sample.window.rcvbuf;
    sample.window.rcv_wnd = 0;
    EXPECT_EQ(look(kBegin + 200 * kMs), none_);
    sample.window.rmem = 0;
    EXPECT_EQ(look(kBegin + 300 * kMs), reopened_);
}

/// What the last read has freed is seen by the next full look: it is wanted now, for the episode
/// waits for it.
TEST_F(MonitorWindow, IsAskedForAfterTheLastReadOfAnEpisode)
{
    dw_window& window = link_.raw().window;
    window.rmem = window.rcvbuf;
    window.rcv_wnd = 0;
    EXPECT_EQ(look(kBegin + 1000 * kMs), (std::vector{Kind::not_draining}));
    link_.read_all(kBegin + 1100 * kMs);
    EXPECT_EQ(look(kBegin + 1200 * kMs), none_);
    EXPECT_TRUE(monitor_.awaits_zero());
    EXPECT_EQ(look(kBegin + 1900 * kMs), none_);
    window.rmem = 0;
    EXPECT_EQ(look(kBegin + 2000 * kMs), none_);
    EXPECT_FALSE(monitor_.awaits_zero());
    EXPECT_EQ(look(kBegin + 2200 * kMs), (std::vector{Kind::recovered}));
}

}  // namespace
}  // namespace drainwatch::monitor_window_test
