#include "detect/monitor.hpp"

#include "durations.hpp"
#include "link.hpp"

#include <gtest/gtest.h>
#include <cerrno>
#include <iterator>

namespace drainwatch::monitor_test {
namespace {

using test::kBegin;
using test::kMs;
using test::kSecond;
using test::Link;
using Kind = Alert::Kind;

/// A monitor that looks at one link every 50 ms.
struct Watch {
    Monitor monitor{Limits{}};
    std::vector<Alert> alerts;
    std::uint64_t next_ns = kBegin;

    void look(const Link& link, std::uint64_t at_ns)
    {
        auto found = monitor.observe(link.sample(at_ns));
        std::move(found.begin(), found.end(), std::back_inserter(alerts));
    }

    void look_until(const Link& link, std::uint64_t end_ns)
    {
        for (; next_ns <= end_ns; next_ns += 50 * kMs) {
            look(link, next_ns);
        }
    }

    [[nodiscard]] std::vector<Kind> kinds() const
    {
        std::vector<Kind> all;
        for (const Alert& a : alerts) {
            all.push_back(a.kind);
        }
        return all;
    }
};

TEST(Monitor, AStallIsOneWarningOneCriticalOneClear)
{
    Watch w;
    Link link;
    link.arrive(1000, kBegin);
    w.look_until(link, kBegin + 5 * kSecond);
    link.arrive(500, kBegin + 5 * kSecond);
    w.look_until(link, kBegin + 6 * kSecond);
    link.read_all(kBegin + 6 * kSecond + 10 * kMs);
    w.look_until(link, kBegin + 10 * kSecond);

    ASSERT_EQ(w.kinds(), (std::vector{Kind::not_draining, Kind::not_draining, Kind::recovered}));
    const Alert& warning = w.alerts[0];
    EXPECT_EQ(warning.severity, Severity::warning);
    EXPECT_EQ(warning.at_ns, kBegin + 1 * kSecond);
    EXPECT_EQ(warning.episode, 1U);
    EXPECT_EQ(warning.reading.age_ns, 1 * kSecond);
    EXPECT_EQ(warning.reading.queue_bytes, 1000U);
    EXPECT_EQ(warning.sample.cookie, Cookie{77});
    const Alert& critical = w.alerts[1];
    EXPECT_EQ(critical.severity, Severity::critical);
    EXPECT_EQ(critical.at_ns, kBegin + 2 * kSecond);
    EXPECT_EQ(critical.episode, 1U);
    const Alert& recovered = w.alerts[2];
    EXPECT_EQ(recovered.severity, Severity::info);
    EXPECT_EQ(recovered.at_ns, kBegin + 6250 * kMs);  // calm since the look at 6.05 s
    EXPECT_EQ(recovered.duration_ns, 5050 * kMs);
    EXPECT_EQ(recovered.max_queue_bytes, 1500U);
    EXPECT_EQ(recovered.zero_windows, 0U);
    EXPECT_EQ(recovered.lead_ns, std::nullopt);
    EXPECT_EQ(recovered.episode, 1U);
    EXPECT_EQ(recovered.reason, "draining again after 5.0 s; at most 1500 bytes were queued");

    EXPECT_EQ(w.monitor.totals().episodes, 1U);
    EXPECT_EQ(w.monitor.totals().zero_windows, 0U);
    EXPECT_FALSE(w.monitor.follows(Cookie{77}));
}

TEST(Monitor, AReaderInGoodOrderIsNeverMentioned)
{
    Watch w;
    Link link;
    for (std::uint64_t i = 0; i < 200; i++) {
        const std::uint64_t at = kBegin + i * 300 * kMs;
        link.arrive(1000, at);
        w.look(link, at + 100 * kMs);
        link.read_all(at + 200 * kMs);
        w.look(link, at + 250 * kMs);
    }
    EXPECT_TRUE(w.alerts.empty());
    EXPECT_TRUE(w.monitor.followed().empty());
}

TEST(Monitor, BetweenWarningAndCalmNothingIsSaidTwice)
{
    Watch w;
    Link link;
    link.arrive(100'000, kBegin);
    w.look_until(link, kBegin + 1 * kSecond);
    ASSERT_EQ(w.kinds(), std::vector{Kind::not_draining});
    // A read each 900 ms: below the limit, but not calm for two seconds either.
    for (std::uint64_t i = 0; i < 20; i++) {
        link.read(100, w.next_ns - 25 * kMs);
        w.look_until(link, w.next_ns + 850 * kMs);
    }
    EXPECT_EQ(w.alerts.size(), 1U);
    // A read each 100 ms, with the queue as long as before: calm after two seconds.
    for (std::uint64_t i = 0; i < 25; i++) {
        link.read(100, w.next_ns - 25 * kMs);
        w.look_until(link, w.next_ns + 50 * kMs);
    }
    EXPECT_EQ(w.kinds(), (std::vector{Kind::not_draining, Kind::recovered}));
}

/// A reader whose reads are usually apart by more than half of --warn-after: after a stall it is as
/// it was before, and the next one is news.
TEST(Monitor, AReaderInBatchesIsCalmAgain)
{
    Watch w;
    Link link;
    const auto read_each_600_ms = [&](int times) {
        for (int i = 0; i < times; i++) {
            for (int message = 0; message < 12; message++) {
                link.arrive(1000, w.next_ns);
                w.look_until(link, w.next_ns + 25 * kMs);
            }
            link.read_all(w.next_ns - 10 * kMs);
            link.raw().habit_gap_ns = 600 * kMs;
        }
    };
    read_each_600_ms(5);
    EXPECT_EQ(w.alerts.size(), 0U);
    for (std::uint64_t stall = 0; stall < 2; stall++) {
        link.arrive(1000, w.next_ns);
        w.look_until(link, w.next_ns + 3 * kSecond);
        link.read_all(w.next_ns - 10 * kMs);
        read_each_600_ms(6);
    }
    EXPECT_EQ(w.kinds(), (std::vector{Kind::not_draining, Kind::not_draining, Kind::recovered,
                                      Kind::not_draining, Kind::not_draining, Kind::recovered}));
}

TEST(Monitor, TheNextStallIsANewEpisode)
{
    Watch w;
    Link link;
    for (std::uint64_t i = 0; i < 3; i++) {
        link.arrive(1000, w.next_ns);
        w.look_until(link, w.next_ns + 1500 * kMs);
        link.read_all(w.next_ns - 10 * kMs);
        w.look_until(link, w.next_ns + 500 * kMs);
    }
    ASSERT_EQ(w.alerts.size(), 6U);
    for (std::size_t i = 0; i < 6; i++) {
        EXPECT_EQ(w.alerts[i].kind, i % 2 == 0 ? Kind::not_draining : Kind::recovered);
        EXPECT_EQ(w.alerts[i].episode, i / 2 + 1);
    }
    EXPECT_EQ(w.monitor.totals().episodes, 3U);
}

TEST(Monitor, TwoSocketsHaveEpisodesOfTheirOwn)
{
    Watch w;
    Link one;
    Link two;
    two.raw().cookie = Cookie{78};
    one.arrive(1000, kBegin);
    two.arrive(2000, kBegin + 500 * kMs);
    for (std::uint64_t t = 0; t <= 1600; t += 50) {
        w.look(one, kBegin + t * kMs);
        w.look(two, kBegin + t * kMs);
    }
    ASSERT_EQ(w.alerts.size(), 2U);
    EXPECT_EQ(w.alerts[0].sample.cookie, Cookie{77});
    EXPECT_EQ(w.alerts[0].episode, 1U);
    EXPECT_EQ(w.alerts[1].sample.cookie, Cookie{78});
    EXPECT_EQ(w.alerts[1].episode, 2U);
    EXPECT_EQ(w.alerts[1].at_ns, kBegin + 1500 * kMs);
    EXPECT_EQ(w.monitor.followed().size(), 2U);
}

TEST(Monitor, WarnsByForecastLongBeforeTheAgeDoes)
{
    Watch w;
    Link link;
    // 100 bytes each 10 ms into 20,000 bytes of memory: full after 2 s, eight percent are 160 ms.
    dw_window& window = link.raw().window;
    window.rcvbuf = 20'000;
    window.rcv_wnd = 60'032;
    for (std::uint64_t t = 0; t <= 300; t += 10) {
        link.arrive(100, kBegin + t * kMs);
        window.rmem += 100;
        w.look(link, kBegin + t * kMs + 5 * kMs);
    }
    ASSERT_EQ(w.kinds(), std::vector{Kind::not_draining});
    EXPECT_EQ(w.alerts[0].severity, Severity::warning);
    EXPECT_GE(w.alerts[0].at_ns, kBegin + 150 * kMs);
    EXPECT_LE(w.alerts[0].at_ns, kBegin + 190 * kMs);
    ASSERT_TRUE(w.alerts[0].zero_in_s);
    EXPECT_NEAR(*w.alerts[0].zero_in_s, 1.83 + 0.24, 0.05);  // a probe brings the end
}

TEST(Monitor, NamesTheNextThreshold)
{
    Watch w;
    Link link;
    EXPECT_FALSE(w.monitor.next_threshold_ns(kBegin));
    link.arrive(100, kBegin);
    w.look(link, kBegin + 300 * kMs);
    EXPECT_EQ(w.monitor.next_threshold_ns(kBegin + 300 * kMs), kBegin + 1000 * kMs);
    EXPECT_EQ(w.monitor.next_threshold_ns(kBegin + 1000 * kMs), kBegin + 2000 * kMs)
        << "what was not looked at when it was due is not waited for";
    EXPECT_FALSE(w.monitor.next_threshold_ns(kBegin + 2000 * kMs));
    w.look(link, kBegin + 1000 * kMs);
    EXPECT_EQ(w.monitor.next_threshold_ns(kBegin + 1000 * kMs), kBegin + 2000 * kMs);
    w.look(link, kBegin + 2000 * kMs);
    EXPECT_FALSE(w.monitor.next_threshold_ns(kBegin)) << "all is told";
}

TEST(Monitor, SaysHowEachEpisodeStands)
{
    Watch w;
    Link link;
    link.arrive(100, kBegin);
    w.look(link, kBegin + 300 * kMs);
    EXPECT_TRUE(w.monitor.standing().empty());
    w.look(link, kBegin + 1000 * kMs);
    const auto standing = w.monitor.standing();
    ASSERT_EQ(standing.size(), 1U);
    EXPECT_EQ(standing[0].kind, Kind::queue);
    EXPECT_EQ(standing[0].severity, Severity::info);
    EXPECT_EQ(standing[0].episode, 1U);
    EXPECT_EQ(standing[0].reading.unread_bytes, 100U);
}

TEST(Monitor, AReaderThatLosesGroundIsFallingBehind)
{
    Watch w;
    Link link;
    // 300 bytes come and 200 are read each 10 ms: 10,000 bytes/s towards 20,000 bytes of memory.
    dw_window& window = link.raw().window;
    window.rcvbuf = 20'000;
    window.rcv_wnd = 60'032;
    for (std::uint64_t t = 0; t <= 1900; t += 10) {
        link.arrive(300, kBegin + t * kMs);
        link.read(200, kBegin + t * kMs + 1 * kMs);
        window.rmem += 100;
        w.look(link, kBegin + t * kMs + 5 * kMs);
    }
    ASSERT_EQ(w.kinds(), (std::vector{Kind::falling_behind, Kind::falling_behind}));
    EXPECT_EQ(w.alerts[0].severity, Severity::warning);
    EXPECT_LT(w.alerts[0].at_ns, kBegin + 400 * kMs);
    EXPECT_EQ(w.alerts[1].severity, Severity::critical);
    // Critical a second before the end, which is at 2 s.
    ASSERT_TRUE(w.alerts[1].zero_in_s);
    EXPECT_NEAR(*w.alerts[1].zero_in_s, 1.0, 0.1);
    EXPECT_GE(w.alerts[1].at_ns, kBegin + 850 * kMs);
    EXPECT_LE(w.alerts[1].at_ns, kBegin + 1100 * kMs);
}

TEST(Monitor, AClockThatJumpsByHoursIsOneCritical)
{
    Watch w;
    Link link;
    link.arrive(1000, kBegin);
    w.look(link, kBegin + 50 * kMs);
    w.look(link, kBegin + 5 * 3600 * kSecond);
    w.look(link, kBegin + 5 * 3600 * kSecond + 50 * kMs);
    ASSERT_EQ(w.kinds(), std::vector{Kind::not_draining});
    EXPECT_EQ(w.alerts[0].severity, Severity::critical);
    link.read_all(kBegin + 10 * 3600 * kSecond);
    w.look(link, kBegin + 10 * 3600 * kSecond);
    EXPECT_EQ(w.alerts.size(), 1U);
    w.look(link, kBegin + 15 * 3600 * kSecond);
    ASSERT_EQ(w.kinds(), (std::vector{Kind::not_draining, Kind::recovered}));
    EXPECT_EQ(w.alerts[1].duration_ns, 5 * 3600 * kSecond);
}

TEST(Monitor, HoursOfIdlenessAreNoTrouble)
{
    Watch w;
    Link link;
    link.arrive(1000, kBegin);
    link.read_all(kBegin + 1 * kMs);
    w.look(link, kBegin + 10 * kMs);
    link.arrive(1000, kBegin + 5 * 3600 * kSecond);
    w.look(link, kBegin + 5 * 3600 * kSecond + 20 * kMs);
    link.read_all(kBegin + 5 * 3600 * kSecond + 30 * kMs);
    w.look(link, kBegin + 5 * 3600 * kSecond + 40 * kMs);
    EXPECT_TRUE(w.alerts.empty());
}

TEST(Monitor, ASocketThatEndsInAnEpisodeIsToldOnce)
{
    Watch w;
    Link link;
    link.arrive(1000, kBegin);
    w.look_until(link, kBegin + 1500 * kMs);
    const auto alerts = w.monitor.gone(Cookie{77}, kBegin + 1700 * kMs);
    ASSERT_EQ(alerts.size(), 1U);
    EXPECT_EQ(alerts[0].kind, Kind::ended);
    EXPECT_EQ(alerts[0].severity, Severity::info);
    EXPECT_EQ(alerts[0].at_ns, kBegin + 1700 * kMs);
    EXPECT_EQ(alerts[0].episode, 1U);
    EXPECT_EQ(alerts[0].duration_ns, 700 * kMs);
    EXPECT_EQ(alerts[0].max_queue_bytes, 1000U);
    EXPECT_EQ(alerts[0].zero_in_s, std::nullopt);
    EXPECT_TRUE(w.monitor.gone(Cookie{77}, kBegin + 1800 * kMs).empty());
    EXPECT_FALSE(w.monitor.follows(Cookie{77}));
}

TEST(Monitor, ASocketThatEndsWithoutTroubleIsNotMentioned)
{
    Watch w;
    Link link;
    link.arrive(1000, kBegin);
    w.look(link, kBegin + 10 * kMs);
    EXPECT_TRUE(w.monitor.gone(Cookie{77}, kBegin + 20 * kMs).empty());
    EXPECT_TRUE(w.monitor.gone(Cookie{99}, kBegin + 20 * kMs).empty());
    EXPECT_TRUE(w.monitor.followed().empty());
}

TEST(Monitor, AResetWithUnreadDataEndsTheEpisode)
{
    Watch w;
    Link link;
    link.arrive(1000, kBegin);
    w.look_until(link, kBegin + 1500 * kMs);
    SocketNotice reset = link.notice(SocketNotice::Kind::reset_received, kBegin + 1600 * kMs, 1000);
    reset.pid = 4242;
    const auto alerts = w.monitor.notice(reset, link.sample(kBegin + 1601 * kMs));
    ASSERT_EQ(alerts.size(), 1U);
    EXPECT_EQ(alerts[0].kind, Kind::link_reset);
    EXPECT_EQ(alerts[0].severity, Severity::warning);
    EXPECT_EQ(alerts[0].at_ns, kBegin + 1600 * kMs);
    EXPECT_EQ(alerts[0].episode, 1U);
    EXPECT_EQ(alerts[0].pid, 4242U);
    EXPECT_EQ(alerts[0].duration_ns, 600 * kMs);
    EXPECT_EQ(alerts[0].reason, "reset by the peer with 1000 bytes unread");
    EXPECT_EQ(alerts[0].reset_by, Side::peer);
    EXPECT_EQ(w.monitor.totals().resets, 1U);
    EXPECT_TRUE(w.monitor.gone(Cookie{77}, kBegin + 1700 * kMs).empty());
}

TEST(Monitor, AResetOutsideOfAnEpisodeIsAWarningToo)
{
    Monitor monitor{Limits{}};
    Link link;
    link.arrive(10, kBegin);
    SocketNotice reset = link.notice(SocketNotice::Kind::reset_sent, kBegin + 1, 10);
    reset.pid = 4242;
    const auto alerts = monitor.notice(reset, link.sample(kBegin + 2));
    ASSERT_EQ(alerts.size(), 1U);
    EXPECT_EQ(alerts[0].episode, 0U);
    EXPECT_EQ(alerts[0].reason, "reset by this side with 10 bytes unread");
    EXPECT_EQ(alerts[0].reset_by, Side::local);
    EXPECT_EQ(monitor.totals().episodes, 0U);
}

TEST(Monitor, AResetThatNoProcessAskedForIsTheKernels)
{
    Monitor monitor{Limits{}};
    Link link;
    link.arrive(10, kBegin);
    const auto alerts = monitor.notice(link.notice(SocketNotice::Kind::reset_sent, kBegin + 1, 10),
                                       link.sample(kBegin + 2));
    ASSERT_EQ(alerts.size(), 1U);
    EXPECT_EQ(alerts[0].reason, "reset by the kernel of this side with 10 bytes unread");
    EXPECT_EQ(alerts[0].reset_by, Side::local);
}

TEST(Monitor, AConnectionThatIsGivenUpEndsTheEpisode)
{
    Watch w;
    Link link;
    link.arrive(1000, kBegin);
    w.look_until(link, kBegin + 1500 * kMs);
    const auto alerts =
        w.monitor.notice(link.notice(SocketNotice::Kind::broken, kBegin + 1600 * kMs, ETIMEDOUT),
                         link.sample(kBegin + 1601 * kMs));
    ASSERT_EQ(alerts.size(), 1U);
    EXPECT_EQ(alerts[0].kind, Kind::ended);
    EXPECT_EQ(alerts[0].severity, Severity::warning);
    EXPECT_EQ(alerts[0].at_ns, kBegin + 1600 * kMs);
    EXPECT_EQ(alerts[0].error, ETIMEDOUT);
    EXPECT_EQ(alerts[0].duration_ns, 600 * kMs);
    EXPECT_EQ(alerts[0].reason,
              "the connection was given up (Connection timed out) with 1000 bytes unread");
    EXPECT_EQ(w.monitor.totals().resets, 0U);
    EXPECT_FALSE(w.monitor.follows(Cookie{77}));
}

TEST(Monitor, AConnectionThatIsGivenUpWithEverythingReadIsNoNews)
{
    Monitor monitor{Limits{}};
    const Link link;
    EXPECT_TRUE(monitor
                    .notice(link.notice(SocketNotice::Kind::broken, kBegin, ETIMEDOUT),
                            link.sample(kBegin + 1))
                    .empty());
}

TEST(Monitor, AResetWithEverythingReadIsNone)
{
    Monitor monitor{Limits{}};
    const Link link;
    EXPECT_TRUE(monitor
                    .notice(link.notice(SocketNotice::Kind::reset_received, kBegin, 0),
                            link.sample(kBegin + 1))
                    .empty());
    EXPECT_EQ(monitor.totals().resets, 0U);
}

TEST(Monitor, HintsSayNothingThemselves)
{
    Monitor monitor{Limits{}};
    Link link;
    link.arrive(1000, kBegin);
    const SocketSample late = link.sample(kBegin + 5 * kSecond);
    EXPECT_TRUE(monitor.notice(link.notice(SocketNotice::Kind::filling, kBegin, 3), late).empty());
    EXPECT_TRUE(monitor.notice(link.notice(SocketNotice::Kind::ended, kBegin, 1000), late).empty());
    EXPECT_FALSE(monitor.follows(Cookie{77}));
}

TEST(Monitor, AwaitsZeroOfAWindowThatIsClosedInEffect)
{
    Watch w;
    Link link;
    link.arrive(4000, kBegin);
    link.raw().window.rmem = link.raw().window.rcvbuf;
    const auto leave = [&](std::uint32_t bytes) {
        link.raw().window.rcv_wup = link.raw().window.rcv_nxt;
        link.raw().window.rcv_wnd = bytes;
    };
    leave(2000);
    w.look(link, kBegin + 10 * kMs);
    EXPECT_FALSE(w.monitor.awaits_zero());
    leave(1000);
    w.look(link, kBegin + 20 * kMs);
    EXPECT_TRUE(w.monitor.awaits_zero());
    link.close_window(kBegin + 25 * kMs);
    w.look(link, kBegin + 30 * kMs);
    EXPECT_FALSE(w.monitor.awaits_zero());
}

TEST(Monitor, WantsACloseLookUntilItHasSpoken)
{
    Watch w;
    Link link;
    EXPECT_FALSE(w.monitor.wants_close_look());
    link.arrive(2000, kBegin);  // a tenth
    link.raw().window.rcvbuf = 20'000;
    link.raw().window.rmem = 2000;
    w.look(link, kBegin + 1 * kMs);
    EXPECT_FALSE(w.monitor.wants_close_look());
    w.look(link, kBegin + 10 * kMs);
    EXPECT_TRUE(w.monitor.wants_close_look());
    w.look(link, kBegin + 1 * kSecond);
    ASSERT_EQ(w.alerts.size(), 1U);
    EXPECT_FALSE(w.monitor.wants_close_look());
}

/// The source is exchanged in the middle of a stall: the other one counts from another number, and
/// knows of the oldest byte but that it was there before.
TEST(Monitor, AnEpisodeGoesOnWithAnotherSource)
{
    Watch w;
    Link link;
    link.arrive(1000, kBegin);
    w.look_until(link, kBegin + 3 * kSecond);
    ASSERT_EQ(w.kinds(), (std::vector{Kind::not_draining, Kind::not_draining}));
    w.monitor.source_changed();
    const auto from_other_source = [&](std::uint64_t at_ns) {
        SocketSample sample = link.sample(at_ns);
        const std::uint32_t shift = 1'000'000;
        sample.window.rcv_nxt += shift;
        sample.window.rcv_wup += shift;
        sample.window.copied_seq += shift;
        sample.data_end += shift;
        sample.last_read_ns = 0;
        for (Arrival& arrival : sample.unread) {
            arrival.end_seq += shift;
            arrival.at_ns = kBegin + 3 * kSecond;
        }
        sample.age_is_lower_bound = !sample.unread.empty();
        return sample;
    };
    for (; w.next_ns <= kBegin + 5 * kSecond; w.next_ns += 50 * kMs) {
        EXPECT_TRUE(w.monitor.observe(from_other_source(w.next_ns)).empty());
    }
    link.read_all(w.next_ns);
    std::vector<Alert> alerts;
    for (const std::uint64_t end = w.next_ns + kSecond; w.next_ns <= end; w.next_ns += 50 * kMs) {
        auto found = w.monitor.observe(from_other_source(w.next_ns));
        std::move(found.begin(), found.end(), std::back_inserter(alerts));
    }
    ASSERT_EQ(alerts.size(), 1U);
    EXPECT_EQ(alerts[0].kind, Kind::recovered);
    EXPECT_EQ(alerts[0].episode, 1U);
    EXPECT_EQ(w.monitor.totals().episodes, 1U);
}

/// A connection of the peer's to the same port, from another one.
SocketSample connected_anew(const Link& link, std::uint64_t at_ns)
{
    SocketSample fresh = link.sample(at_ns);
    fresh.cookie = Cookie{78};
    fresh.remote.port = 40001;
    fresh.unread.clear();
    return fresh;
}

TEST(Monitor, AConnectionThatIsNotReadIsReplaced)
{
    Watch w;
    Link link;
    link.arrive(1000, kBegin);
    w.look_until(link, kBegin + 2 * kSecond);
    const SocketSample fresh = connected_anew(link, w.next_ns);
    SocketSample elsewhere = fresh;
    elsewhere.local.port = 8766;
    EXPECT_FALSE(w.monitor.connected(elsewhere, w.next_ns)) << "another port";
    SocketSample stranger = fresh;
    stranger.remote.address[0] = 10;
    EXPECT_FALSE(w.monitor.connected(stranger, w.next_ns)) << "another peer";
    const auto alert = w.monitor.connected(fresh, w.next_ns);
    ASSERT_TRUE(alert);
    EXPECT_EQ(alert->kind, Kind::link_replaced);
    EXPECT_EQ(alert->severity, Severity::warning);
    EXPECT_EQ(alert->sample.cookie, Cookie{77});
    EXPECT_EQ(alert->replaced_by, fresh.remote);
    EXPECT_EQ(alert->episode, 1U);
    EXPECT_FALSE(w.monitor.connected(fresh, w.next_ns)) << "once in an episode";
}

/// There was no place for it, and so it is told of late.
TEST(Monitor, AConnectionFromBeforeTheSilenceReplacesNone)
{
    Watch w;
    Link link;
    link.arrive(1000, kBegin);
    w.look_until(link, kBegin + 2 * kSecond);
    const SocketSample other = connected_anew(link, w.next_ns);
    EXPECT_FALSE(w.monitor.connected(other, kBegin - kSecond));
    EXPECT_TRUE(w.monitor.connected(other, kBegin + kSecond));
}

/// Two links of a peer wait, and it connects once.
TEST(Monitor, OneConnectionReplacesTheOneThatWaitsLongest)
{
    Watch w;
    Link older;
    older.arrive(1000, kBegin);
    w.look_until(older, kBegin + kSecond);
    SocketSample younger = connected_anew(older, kBegin + kSecond);
    younger.unread = {{younger.data_end, kBegin + kSecond}};
    for (; younger.taken_ns <= kBegin + 3 * kSecond; younger.taken_ns += 50 * kMs) {
        (void)w.monitor.observe(younger);
    }
    w.look_until(older, kBegin + 3 * kSecond);
    SocketSample fresh = connected_anew(older, w.next_ns);
    fresh.cookie = Cookie{79};
    const auto first = w.monitor.connected(fresh, w.next_ns);
    ASSERT_TRUE(first);
    EXPECT_EQ(first->sample.cookie, Cookie{77});
    const auto second = w.monitor.connected(fresh, w.next_ns);
    ASSERT_TRUE(second);
    EXPECT_EQ(second->sample.cookie, Cookie{78});
    EXPECT_FALSE(w.monitor.connected(fresh, w.next_ns));
}

TEST(Monitor, TellsWhatStallsHaveLasted)
{
    Watch w;
    Link link;
    link.arrive(1000, kBegin);
    w.look_until(link, kBegin + kSecond / 2);
    EXPECT_TRUE(w.monitor.stalls_so_far(w.next_ns).empty());
    w.look_until(link, kBegin + 3 * kSecond);
    const auto stalls = w.monitor.stalls_so_far(kBegin + 4 * kSecond);
    ASSERT_EQ(stalls.size(), 1U);
    EXPECT_NEAR(static_cast<double>(stalls.front().second), 3e9, 2e8);
    EXPECT_FALSE(w.monitor.was_replaced(Cookie{77}));
    (void)w.monitor.connected(connected_anew(link, w.next_ns), w.next_ns);
    EXPECT_TRUE(w.monitor.was_replaced(Cookie{77}));
}

/// A peer may have several links, and data is on its way in all of them.
TEST(Monitor, AConnectionThatIsReadIsNotReplaced)
{
    Watch w;
    Link link;
    link.arrive(1000, kBegin);
    w.look_until(link, kBegin + 100 * kMs);
    EXPECT_FALSE(w.monitor.connected(connected_anew(link, w.next_ns), w.next_ns));
}

}  // namespace
}  // namespace drainwatch::monitor_test
