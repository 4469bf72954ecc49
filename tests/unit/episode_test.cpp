#include "detect/episode.hpp"

#include "durations.hpp"
#include "link.hpp"

#include <gtest/gtest.h>

namespace drainwatch::episode_test {
namespace {

using test::kBegin;
using test::kMs;
using test::kSecond;

const Limits kLimits;

Finding finding(Severity severity)
{
    return {Trouble::not_draining, severity, std::nullopt, "reason"};
}

Reading calm(std::uint64_t at_ns, std::uint32_t unread)
{
    Reading r;
    r.at_ns = at_ns;
    r.unread_bytes = unread;
    return r;
}

TEST(Episode, RaisesEachSeverityOnceAndNeverALowerOne)
{
    Episode e(5);
    EXPECT_EQ(e.number(), 5U);
    EXPECT_TRUE(e.raise(finding(Severity::warning), kBegin));
    EXPECT_FALSE(e.raise(finding(Severity::warning), kBegin + 1));
    EXPECT_TRUE(e.raise(finding(Severity::critical), kBegin + 2));
    EXPECT_FALSE(e.raise(finding(Severity::critical), kBegin + 3));
    EXPECT_FALSE(e.raise(finding(Severity::warning), kBegin + 4));
}

TEST(Episode, CriticalAtOnceIsRaisedOnce)
{
    Episode e(1);
    EXPECT_TRUE(e.raise(finding(Severity::critical), kBegin));
    EXPECT_FALSE(e.raise(finding(Severity::warning), kBegin + 1));
}

TEST(Episode, IsOverAfterTwoTenthsOfASecondWithAnEmptyQueue)
{
    Episode e(1);
    ASSERT_TRUE(e.raise(finding(Severity::warning), kBegin));
    EXPECT_FALSE(e.over(calm(kBegin + 1000 * kMs, 0), kLimits));
    EXPECT_FALSE(e.over(calm(kBegin + 1200 * kMs - 1, 0), kLimits));
    EXPECT_TRUE(e.over(calm(kBegin + 1200 * kMs, 0), kLimits));
    EXPECT_EQ(e.duration_ns(kBegin + 1200 * kMs), 1000 * kMs);  // the calm is not trouble
}

TEST(Episode, IsOverAfterTwoSecondsOfWorkOnAQueue)
{
    Episode e(1);
    ASSERT_TRUE(e.raise(finding(Severity::warning), kBegin));
    EXPECT_FALSE(e.over(calm(kBegin + 1 * kSecond, 500), kLimits));
    EXPECT_FALSE(e.over(calm(kBegin + 3 * kSecond - 1, 500), kLimits));
    EXPECT_TRUE(e.over(calm(kBegin + 3 * kSecond, 500), kLimits));
}

TEST(Episode, CalmMustLast)
{
    Episode e(1);
    ASSERT_TRUE(e.raise(finding(Severity::warning), kBegin));
    EXPECT_FALSE(e.over(calm(kBegin + 1000 * kMs, 0), kLimits));
    Reading restless = calm(kBegin + 1100 * kMs, 500);
    restless.silent_ns = 500 * kMs;
    EXPECT_FALSE(e.over(restless, kLimits));
    EXPECT_FALSE(e.over(calm(kBegin + 1250 * kMs, 0), kLimits));
    EXPECT_TRUE(e.over(calm(kBegin + 1450 * kMs, 0), kLimits));
    EXPECT_EQ(e.duration_ns(kBegin + 1450 * kMs), 1250 * kMs);
}

TEST(Episode, AFindingOrAZeroWindowEndsTheCalm)
{
    Episode e(1);
    ASSERT_TRUE(e.raise(finding(Severity::warning), kBegin));
    EXPECT_FALSE(e.over(calm(kBegin + 1000 * kMs, 0), kLimits));
    EXPECT_FALSE(e.raise(finding(Severity::warning), kBegin + 1100 * kMs));
    EXPECT_FALSE(e.over(calm(kBegin + 1250 * kMs, 0), kLimits));
    EXPECT_TRUE(e.closed(kBegin + 1300 * kMs));
    EXPECT_FALSE(e.over(calm(kBegin + 1500 * kMs, 0), kLimits));
    EXPECT_TRUE(e.over(calm(kBegin + 1700 * kMs, 0), kLimits));
}

TEST(Episode, TellsOfOneZeroWindowInTenSeconds)
{
    Episode e(1);
    EXPECT_TRUE(e.closed(kBegin));
    EXPECT_FALSE(e.closed(kBegin + 1));
    EXPECT_FALSE(e.closed(kBegin + 10 * kSecond - 1));
    EXPECT_TRUE(e.closed(kBegin + 10 * kSecond));
    EXPECT_FALSE(e.closed(kBegin + 20 * kSecond - 1));
    EXPECT_TRUE(e.closed(kBegin + 20 * kSecond));
    EXPECT_EQ(e.zero_windows(), 6U);
}

TEST(Episode, TellsOfAReopeningIfItToldOfTheClosing)
{
    Episode e(1);
    EXPECT_FALSE(e.reopened());
    EXPECT_TRUE(e.closed(kBegin));
    EXPECT_TRUE(e.reopened());
    EXPECT_FALSE(e.reopened());
    EXPECT_FALSE(e.closed(kBegin + 1 * kSecond));
    EXPECT_FALSE(e.reopened());
}

/// Reported closed, reopening never seen, closed again: the reader was told of a closed window.
TEST(Episode, TellsOfTheReopeningEvenIfTheWindowClosedTwiceBefore)
{
    Episode e(1);
    EXPECT_TRUE(e.closed(kBegin));
    EXPECT_FALSE(e.closed(kBegin + 1 * kSecond));
    EXPECT_TRUE(e.reopened());
}

TEST(Episode, LeadIsFromTheFirstWarningToTheFirstZero)
{
    Episode e(1);
    EXPECT_EQ(e.lead_ns(), std::nullopt);
    ASSERT_TRUE(e.raise(finding(Severity::warning), kBegin));
    EXPECT_EQ(e.lead_ns(), std::nullopt);
    ASSERT_TRUE(e.raise(finding(Severity::critical), kBegin + 500 * kMs));
    EXPECT_TRUE(e.closed(kBegin + 700 * kMs));
    EXPECT_FALSE(e.closed(kBegin + 900 * kMs));
    EXPECT_EQ(e.lead_ns(), 700 * kMs);
}

TEST(Episode, NoLeadIfZeroCameFirst)
{
    Episode e(1);
    EXPECT_TRUE(e.closed(kBegin));
    EXPECT_EQ(e.lead_ns(), std::nullopt);
    ASSERT_TRUE(e.raise(finding(Severity::warning), kBegin + 100 * kMs));
    EXPECT_EQ(e.lead_ns(), 0U);
    EXPECT_EQ(e.duration_ns(kBegin + 300 * kMs), 300 * kMs);
}

TEST(Episode, KeepsTheLongestQueue)
{
    Episode e(1);
    for (const std::uint32_t bytes : {10U, 5000U, 400U}) {
        e.note_queue(bytes);
    }
    EXPECT_EQ(e.max_queue_bytes(), 5000U);
}

TEST(Episode, ATimeBeforeItsBeginningIsNoDuration)
{
    Episode e(1);
    ASSERT_TRUE(e.raise(finding(Severity::warning), kBegin));
    EXPECT_EQ(e.duration_ns(kBegin - 1), 0U);
    EXPECT_EQ(e.duration_ns(kBegin + 1), 1U);
}

}  // namespace
}  // namespace drainwatch::episode_test
