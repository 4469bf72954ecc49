#include "detect/finding.hpp"
#include "link.hpp"

#include <gtest/gtest.h>

namespace drainwatch::not_draining_test {
namespace {

using test::kMs;
using test::kSecond;

const Limits kLimits;  // 1 s, 2 s, 5 s

/// 1000 bytes wait and nobody has read for `silent_ns`.
Reading silent(std::uint64_t silent_ns)
{
    Reading r;
    r.at_ns = 100 * kSecond;
    r.queue_bytes = r.unread_bytes = 1000;
    r.age_ns = r.silent_ns = silent_ns;
    r.to_zero_bytes = 1e6;
    r.headroom_bytes = 1'000'000;
    return r;
}

std::optional<Severity> verdict(const Reading& r, const Limits& limits = kLimits)
{
    const auto finding = not_draining(r, limits);
    if (!finding) {
        return std::nullopt;
    }
    EXPECT_EQ(finding->trouble, Trouble::not_draining);
    EXPECT_FALSE(finding->reason.empty());
    return finding->severity;
}

TEST(NotDraining, ByAge)
{
    struct Case {
        std::uint64_t silent_ns;
        std::optional<Severity> severity;
    };
    for (const Case& c :
         {Case{0, {}}, Case{1, {}}, Case{kSecond - 1, {}}, Case{kSecond, Severity::warning},
          Case{2 * kSecond - 1, Severity::warning}, Case{2 * kSecond, Severity::critical},
          Case{5 * 3600 * kSecond, Severity::critical}}) {
        EXPECT_EQ(verdict(silent(c.silent_ns)), c.severity) << c.silent_ns;
    }
}

TEST(NotDraining, ByAgeOfTheUsersChoice)
{
    const Limits limits{std::chrono::milliseconds(250), std::chrono::milliseconds(250),
                        std::chrono::seconds(5)};
    EXPECT_EQ(verdict(silent(250 * kMs - 1), limits), std::nullopt);
    EXPECT_EQ(verdict(silent(250 * kMs), limits), Severity::critical);
}

TEST(NotDraining, SilenceCountsNotTheAgeOfTheByte)
{
    Reading r = silent(kSecond - 1);
    r.age_ns = 3600 * kSecond;  // a backlog that is being worked on
    EXPECT_EQ(verdict(r), std::nullopt);
}

TEST(NotDraining, NothingUnreadIsNoTrouble)
{
    Reading r = silent(3 * kSecond);
    r.unread_bytes = 0;
    r.queue_bytes = 1;  // a FIN
    EXPECT_EQ(verdict(r), std::nullopt);
}

TEST(NotDraining, BelowRcvlowatNobodyIsToldOfTheData)
{
    Reading r = silent(3600 * kSecond);
    r.wanted = false;
    EXPECT_EQ(verdict(r), std::nullopt);
}

TEST(NotDraining, ClosedBeforeTheWatchBeganIsTold)
{
    Reading r = silent(1 * kMs);
    r.closed = true;
    EXPECT_EQ(verdict(r), std::nullopt);
    r.age_is_lower_bound = true;
    EXPECT_EQ(verdict(r), Severity::warning);
    r.closed = false;
    EXPECT_EQ(verdict(r), std::nullopt);
}

TEST(NotDraining, PeerHeldSinceBeforeTheWatchBeganIsTold)
{
    Reading r = silent(20 * kMs);
    r.closed_in_effect = true;
    EXPECT_EQ(verdict(r), std::nullopt) << "the way there was seen, and has a forecast";
    r.age_is_lower_bound = true;
    EXPECT_EQ(verdict(r), Severity::warning);
    r.silent_ns = 20 * kMs - 1;
    EXPECT_EQ(verdict(r), std::nullopt);
    r.silent_ns = 20 * kMs;
    r.closed_in_effect = false;
    EXPECT_EQ(verdict(r), std::nullopt);
    r.unread_bytes = 15'000;
    r.to_zero_bytes = 1000;
    EXPECT_EQ(verdict(r), Severity::warning) << "what the peer has put together may be more";
    r.to_zero_bytes = 1001;
    EXPECT_EQ(verdict(r), std::nullopt);
}

/// Silent for so long, and zero is forecast.
Reading forecast(std::uint64_t silent_ns, double short_s, double long_s)
{
    Reading r = silent(silent_ns);
    r.if_silent = Forecast{short_s, long_s};
    return r;
}

TEST(NotDraining, ByForecastWithinTheHorizon)
{
    struct Case {
        double short_s, long_s;
        bool found;
    };
    for (const Case& c : {Case{5.0, 5.0, true}, Case{5.001, 5.0, false}, Case{5.0, 5.001, false},
                          Case{0.1, 4.0, true}, Case{0.1, 6.0, false}, Case{6.0, 0.1, false}}) {
        EXPECT_EQ(verdict(forecast(900 * kMs, c.short_s, c.long_s)).has_value(), c.found)
            << c.short_s << " and " << c.long_s;
    }
    EXPECT_EQ(verdict(forecast(900 * kMs, 1, 1)), Severity::warning);  // a forecast is no more
}

TEST(NotDraining, ByForecastAfterASilenceOfEightPercentOfTheWay)
{
    struct Case {
        std::uint64_t silent_ms;
        double long_s;
        bool found;
    };
    for (const Case& c : {Case{400, 4.6, true}, Case{399, 4.601, false}, Case{80, 0.92, true},
                          Case{79, 0.92, false}}) {
        EXPECT_EQ(verdict(forecast(c.silent_ms * kMs, 0.1, c.long_s)).has_value(), c.found)
            << c.silent_ms << " ms of " << c.long_s << " s";
    }
}

TEST(NotDraining, ByForecastNeverInTheFirstTwentyMilliseconds)
{
    EXPECT_EQ(verdict(forecast(20 * kMs - 1, 0.01, 0.01)), std::nullopt);
    EXPECT_EQ(verdict(forecast(20 * kMs, 0.01, 0.01)), Severity::warning);
}

TEST(NotDraining, ByForecastNotWithinThisReadersHabit)
{
    Reading r = forecast(200 * kMs, 0.5, 0.5);
    EXPECT_EQ(verdict(r), Severity::warning);
    r.usual_silence_ns = 200 * kMs;
    EXPECT_EQ(verdict(r), Severity::warning);
    r.usual_silence_ns = 200 * kMs + 1;
    EXPECT_EQ(verdict(r), std::nullopt);
}

TEST(NotDraining, HabitOrNotWhenTheQueueIsDeeperThanEver)
{
    Reading r = forecast(200 * kMs, 0.5, 0.5);
    r.usual_silence_ns = 900 * kMs;
    r.usual_depth_bytes = 2000;
    // It has coped with 2000 of 10,000: half of the rest is at 6000.
    r.unread_bytes = 6000;
    r.to_zero_bytes = 4000;
    EXPECT_EQ(verdict(r), std::nullopt);
    r.unread_bytes = 6001;
    r.to_zero_bytes = 3999;
    EXPECT_EQ(verdict(r), Severity::warning);
}

TEST(NotDraining, SaysSo)
{
    Reading r = forecast(1500 * kMs, 2.0, 2.3);
    const auto never = not_draining(r, kLimits);
    ASSERT_TRUE(never);
    EXPECT_EQ(never->reason,
              "nothing has been read yet; 1000 bytes wait unread, the oldest for 1.5 s; "
              "zero window in about 2.3 s");
    EXPECT_EQ(never->zero_in_s, 2.3);
    r.since_read_ns = 1500 * kMs;
    r.age_ns = 1700 * kMs;
    r.age_is_lower_bound = true;
    r.closed = true;
    const auto closed = not_draining(r, kLimits);
    ASSERT_TRUE(closed);
    EXPECT_EQ(closed->reason,
              "no read for 1.5 s; 1000 bytes wait unread, the oldest for at least 1.7 s; "
              "the window is closed");
    EXPECT_EQ(closed->zero_in_s, std::nullopt);
}

TEST(ZeroForecast, IsThatOfWhatTheReaderDoes)
{
    Reading r = forecast(100 * kMs, 7, 8);
    r.if_reading = Forecast{10, 11};
    EXPECT_EQ(zero_in_s(r), 8.0);
    r.reads = true;
    EXPECT_EQ(zero_in_s(r), 11.0);
    r.read_spacing_ns = 51 * kMs;
    EXPECT_EQ(zero_in_s(r), std::nullopt) << "the queue passes through";
    r.read_spacing_ns = 0;
    r.if_reading.reset();
    EXPECT_EQ(zero_in_s(r), std::nullopt);
    r.reads = false;
    r.closed = true;  // it is there
    EXPECT_EQ(zero_in_s(r), std::nullopt);
}

TEST(Calm, NeedsAMargin)
{
    EXPECT_TRUE(is_calm(silent(500 * kMs - 1), kLimits));
    EXPECT_FALSE(is_calm(silent(500 * kMs), kLimits));
    EXPECT_TRUE(is_calm(forecast(100 * kMs, 1, 7.6), kLimits));
    EXPECT_FALSE(is_calm(forecast(100 * kMs, 9, 7.5), kLimits));
    Reading r = silent(100 * kMs);
    r.closed_in_effect = true;
    EXPECT_FALSE(is_calm(r, kLimits));
    r.unread_bytes = 0;
    EXPECT_FALSE(is_calm(r, kLimits));
    r.closed_in_effect = false;
    EXPECT_TRUE(is_calm(r, kLimits));
    r = silent(3 * kSecond);
    r.wanted = false;
    EXPECT_TRUE(is_calm(r, kLimits));
}

TEST(Suspicion, OfAPolledQueueBeforeItShowsAnyAge)
{
    Reading r = silent(1 * kMs);
    r.if_silent = Forecast{9, 4};
    EXPECT_FALSE(is_suspicious(r, kLimits));
    r.estimated = true;
    EXPECT_TRUE(is_suspicious(r, kLimits));
}

TEST(Suspicion, OfAnAgeingQueueThatFillsOrMayRunFull)
{
    Reading r = silent(3 * kMs);
    EXPECT_FALSE(is_suspicious(r, kLimits));
    r.if_silent = Forecast{9, 5.0};
    EXPECT_TRUE(is_suspicious(r, kLimits));
    r.if_silent->long_s = 5.001;
    EXPECT_FALSE(is_suspicious(r, kLimits));
    r.if_reading = Forecast{9, 4};
    EXPECT_TRUE(is_suspicious(r, kLimits));
    r.age_ns = 2 * kMs;
    EXPECT_FALSE(is_suspicious(r, kLimits));
    r = silent(3 * kMs);
    r.to_zero_bytes = 15'000;  // exactly a sixteenth
    EXPECT_FALSE(is_suspicious(r, kLimits));
    r.to_zero_bytes = 14'999;
    EXPECT_TRUE(is_suspicious(r, kLimits));
    r.wanted = false;
    EXPECT_FALSE(is_suspicious(r, kLimits));
}

}  // namespace
}  // namespace drainwatch::not_draining_test
