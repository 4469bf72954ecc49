#include "state/history.hpp"

#include "durations.hpp"
#include "link.hpp"

#include <gtest/gtest.h>
#include <vector>

namespace drainwatch::history_test {
namespace {

using test::kBegin;
using test::kMs;
using test::kSecond;
using test::Link;

TEST(History, OneLookIsNoRate)
{
    History h;
    EXPECT_FALSE(h.arrival_rate(1 * kSecond));
    EXPECT_EQ(h.length_ns(), 0U);
    Link link;
    link.arrive(100, kBegin);
    h.add(link.sample(kBegin));
    EXPECT_FALSE(h.arrival_rate(1 * kSecond));
    EXPECT_FALSE(h.drain_rate(1 * kSecond));
    EXPECT_EQ(h.length_ns(), 0U);
}

/// Looks every 100 ms for `looks` intervals: 500 bytes come in each, `read` are read.
History steady(Link& link, int looks, std::uint32_t read)
{
    History h;
    link.arrive(10'000, kBegin);
    h.add(link.sample(kBegin));
    for (int i = 1; i <= looks; i++) {
        const std::uint64_t now = kBegin + static_cast<std::uint64_t>(i) * 100 * kMs;
        link.arrive(500, now);
        link.read(read, now);
        h.add(link.sample(now));
    }
    return h;
}

TEST(History, Rates)
{
    Link link;
    const History h = steady(link, 20, 200);
    EXPECT_DOUBLE_EQ(h.arrival_rate(1 * kSecond).value(), 5000);
    EXPECT_DOUBLE_EQ(h.drain_rate(1 * kSecond).value(), 2000);
    EXPECT_EQ(h.length_ns(), 2 * kSecond);
}

TEST(History, RatesOfTheLastMomentsOnly)
{
    Link link;
    History h = steady(link, 10, 200);
    // Then 300 ms in which nothing is read and ten times as much comes.
    for (std::uint64_t i = 1; i <= 3; i++) {
        const std::uint64_t now = kBegin + (1000 + i * 100) * kMs;
        link.arrive(5000, now);
        h.add(link.sample(now));
    }
    EXPECT_DOUBLE_EQ(h.arrival_rate(300 * kMs).value(), 50'000);
    EXPECT_DOUBLE_EQ(h.drain_rate(300 * kMs).value(), 0);
    // 800 ms: five intervals of 500 and three of 5000 bytes
    EXPECT_DOUBLE_EQ(h.arrival_rate(800 * kMs).value(), 17'500 / 0.8);
}

TEST(History, RateOverLessThanTheWindowWhenThereIsNoMore)
{
    Link link;
    const History h = steady(link, 3, 0);
    EXPECT_DOUBLE_EQ(h.arrival_rate(1 * kSecond).value(), 5000);
}

TEST(History, RatesAcrossTheWrapOfSequenceNumbers)
{
    Link link;
    auto& raw = link.raw();
    raw.window.copied_seq = raw.window.rcv_nxt = raw.data_end = 0xffffd000;
    const History h = steady(link, 10, 200);
    EXPECT_DOUBLE_EQ(h.arrival_rate(1 * kSecond).value(), 5000);
    EXPECT_DOUBLE_EQ(h.drain_rate(1 * kSecond).value(), 2000);
}

TEST(History, BeginsAnewWhenTheQueueWasEmpty)
{
    Link link;
    History h = steady(link, 10, 200);
    link.read_all(kBegin + 1100 * kMs);
    h.add(link.sample(kBegin + 1100 * kMs));
    EXPECT_EQ(h.length_ns(), 0U);
    EXPECT_FALSE(h.arrival_rate(1 * kSecond));
    link.arrive(100, kBegin + 1150 * kMs);
    h.add(link.sample(kBegin + 1200 * kMs));
    EXPECT_EQ(h.length_ns(), 100 * kMs);
    EXPECT_DOUBLE_EQ(h.arrival_rate(1 * kSecond).value(), 1000);
}

TEST(History, LooksInQuickSuccessionCountAsOne)
{
    Link link;
    History h;
    link.arrive(1000, kBegin);
    // 1,000 looks, 0.1 ms apart: the newest is always there, and the first stays.
    for (std::uint64_t i = 0; i <= 1000; i++) {
        h.add(link.sample(kBegin + i * kMs / 10));
        link.arrive(10, kBegin + i * kMs / 10);
    }
    EXPECT_EQ(h.length_ns(), 100 * kMs);
    EXPECT_DOUBLE_EQ(h.arrival_rate(100 * kMs).value(), 100'000);
}

TEST(History, ForgetsWhatIsOlderThanFourSeconds)
{
    Link link;
    const History h = steady(link, 100, 0);
    EXPECT_EQ(h.length_ns(), 4 * kSecond);
}

TEST(History, AClockThatJumpsByHoursLeavesOneLook)
{
    Link link;
    History h = steady(link, 10, 200);
    h.add(link.sample(kBegin + 5 * 3600 * kSecond));
    EXPECT_EQ(h.length_ns(), 0U);
    EXPECT_FALSE(h.arrival_rate(1 * kSecond));
}

/// Looks 10 ms apart with these queue lengths.
History queue_lengths(const std::vector<std::uint32_t>& lengths)
{
    History h;
    SocketSample s;
    for (std::size_t i = 0; i < lengths.size(); i++) {
        s.taken_ns = kBegin + i * 10 * kMs;
        s.data_end = s.window.copied_seq + lengths[i];
        h.add(s);
    }
    return h;
}

TEST(Trough, IsTheSmallestQueueOfAnInterval)
{
    // ages in ms:                  60  50  40  30  20  10  0
    const History h = queue_lengths({70, 20, 60, 30, 50, 90, 80});
    EXPECT_EQ(h.trough(20 * kMs, 0), 50);
    EXPECT_EQ(h.trough(30 * kMs, 0), 30);
    EXPECT_EQ(h.trough(40 * kMs, 20 * kMs), 30);
    EXPECT_EQ(h.trough(60 * kMs, 40 * kMs), 20);
}

TEST(Trough, BeforeTheQueueWasFirstSeenItWasEmpty)
{
    const History h = queue_lengths({70, 20, 60});
    EXPECT_EQ(h.trough(20 * kMs, 0), 20);
    EXPECT_EQ(h.trough(21 * kMs, 10 * kMs), 0);
    EXPECT_EQ(History().trough(0, 0), std::nullopt);
}

/// Nobody knows whether it was growing.
TEST(Trough, OfAQueueFromBeforeTheWatchIsNotKnownBeforeTheFirstLook)
{
    Link link;
    link.arrive(50'000, kBegin);
    link.raw().age_is_lower_bound = true;
    History h;
    const auto look = [&](std::uint64_t ms) { h.add(link.sample(kBegin + ms * kMs)); };
    for (const std::uint64_t ms : {0, 5, 10, 15, 20}) {
        look(ms);
    }
    EXPECT_EQ(h.trough(20 * kMs, 0), 50'000);
    EXPECT_EQ(h.trough(21 * kMs, 10 * kMs), std::nullopt);
    link.read_all(kBegin + 22 * kMs);
    link.raw().age_is_lower_bound = false;
    look(25);
    link.arrive(100, kBegin + 26 * kMs);
    look(30);
    EXPECT_EQ(h.trough(100 * kMs, 50 * kMs), 0) << "it was seen empty";
}

/// A poll finds it with the first data in it.
TEST(Trough, OfANewConnectionBeginsWithNothing)
{
    Link link;
    link.arrive(1000, kBegin);
    link.raw().age_is_lower_bound = true;
    link.raw().is_new = true;
    History h;
    for (const std::uint64_t ms : {0, 5, 10, 15, 20}) {
        h.add(link.sample(kBegin + ms * kMs));
    }
    EXPECT_TRUE(h.shows_beginning());
    EXPECT_EQ(h.trough(20 * kMs, 0), 1000);
    EXPECT_EQ(h.trough(21 * kMs, 10 * kMs), 0);
}

TEST(Trough, TakesThreeLooks)
{
    const History h = queue_lengths({70, 20, 60, 30});
    EXPECT_TRUE(h.trough(30 * kMs, 10 * kMs));
    EXPECT_FALSE(h.trough(10 * kMs, 0));
    EXPECT_FALSE(h.trough(9 * kMs, 1 * kMs));
}

}  // namespace
}  // namespace drainwatch::history_test
