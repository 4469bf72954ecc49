#include "state/reading.hpp"

#include "detect/finding.hpp"
#include "drainwatch/socket_track.h"
#include "durations.hpp"
#include "link.hpp"
#include "state/slot.hpp"

#include <gtest/gtest.h>
#include <algorithm>
#include <optional>
#include <random>

namespace drainwatch::reading_test {
namespace {

using test::kBegin;
using test::kMs;
using test::kSecond;
using test::Link;

Reading first_reading(const SocketSample& sample)
{
    History h;
    h.add(sample);
    return make_reading(sample, h);
}

TEST(Reading, OfAnEmptyQueue)
{
    const Reading r = first_reading(Link().sample(kBegin));
    EXPECT_EQ(r.at_ns, kBegin);
    EXPECT_EQ(r.queue_bytes, 0U);
    EXPECT_EQ(r.unread_bytes, 0U);
    EXPECT_EQ(r.age_ns, 0U);
    EXPECT_EQ(r.silent_ns, 0U);
    EXPECT_FALSE(r.since_read_ns);
    EXPECT_FALSE(r.if_silent);
    EXPECT_FALSE(r.if_reading);
    EXPECT_FALSE(r.closed);
    EXPECT_FALSE(r.closed_in_effect);
    EXPECT_EQ(r.fill(), 0);
}

TEST(Reading, AgeRunsFromTheOldestByteSilenceFromTheLastRead)
{
    Link link;
    link.arrive(1000, kBegin);
    link.arrive(1000, kBegin + 100 * kMs);
    link.read(500, kBegin + 200 * kMs);
    const Reading r = first_reading(link.sample(kBegin + 300 * kMs));
    EXPECT_EQ(r.queue_bytes, 1500U);
    EXPECT_EQ(r.unread_bytes, 1500U);
    EXPECT_EQ(r.age_ns, 300 * kMs);
    EXPECT_EQ(r.silent_ns, 100 * kMs);
    EXPECT_EQ(r.since_read_ns, 100 * kMs);
}

TEST(Reading, SilenceBeginsWithTheFirstByteNotWithTheLastRead)
{
    Link link;
    link.raw().last_read_ns = kBegin - 60 * kSecond;  // idle for a minute
    link.arrive(1000, kBegin);
    const Reading r = first_reading(link.sample(kBegin + 300 * kMs));
    EXPECT_EQ(r.silent_ns, 300 * kMs);
    EXPECT_EQ(r.since_read_ns, 60 * kSecond + 300 * kMs);
}

/// Whatever the look before has seen: the time of the last read says it.
TEST(Reading, WhoHasJustReadReadsForTwiceHisUsualSpacing)
{
    Link link;
    link.raw().habit_gap_ns = 40 * kMs;
    link.arrive(1000, kBegin);
    link.read(1000, kBegin + 10 * kMs);
    link.arrive(1000, kBegin + 20 * kMs);
    EXPECT_TRUE(first_reading(link.sample(kBegin + 90 * kMs)).reads);
    EXPECT_FALSE(first_reading(link.sample(kBegin + 91 * kMs)).reads);
}

TEST(Reading, WhoHasNeverReadDoesNotRead)
{
    Link link;
    link.arrive(1000, kBegin);
    EXPECT_FALSE(first_reading(link.sample(kBegin + 1 * kMs)).reads);
}

TEST(Reading, AFinIsInTheQueueButNotUnread)
{
    Link link;
    link.raw().window.rcv_nxt++;
    const Reading r = first_reading(link.sample(kBegin));
    EXPECT_EQ(r.queue_bytes, 1U);
    EXPECT_EQ(r.unread_bytes, 0U);
}

/// What is there may fill the window, and yet nothing can come that would close it.
TEST(Reading, AfterAFinNoZeroWindowIsForecast)
{
    Link link;
    History h;
    link.raw().window.rcvbuf = 64 << 10;
    for (std::uint64_t i = 0; i < 20; i++) {
        link.arrive(1000, kBegin + i * 10 * kMs);
        h.add(link.sample(kBegin + i * 10 * kMs));
    }
    EXPECT_TRUE(make_reading(link.sample(kBegin + 200 * kMs), h).if_silent);
    EXPECT_FALSE(make_reading(link.sample(kBegin + 200 * kMs), h).peer_is_done);
    link.raw().window.rcv_nxt++;
    const Reading r = make_reading(link.sample(kBegin + 200 * kMs), h);
    EXPECT_TRUE(r.peer_is_done);
    EXPECT_FALSE(r.if_silent);
    EXPECT_FALSE(r.if_reading);
}

/// A reader that was at work before may well be at work still.
TEST(Reading, SilenceFromBeforeTheWatchCountsOnceTheReaderHadTimeToRead)
{
    Link link;
    link.arrive(1000, kBegin);
    link.raw().age_is_lower_bound = true;
    link.raw().watched_since_ns = kBegin + 5 * kSecond;
    const auto at = [&](std::uint64_t ms) {
        return make_reading(link.sample(kBegin + 5 * kSecond + ms * kMs), History());
    };
    EXPECT_EQ(at(0).silent_ns, 0U);
    EXPECT_EQ(at(99).silent_ns, 99 * kMs);
    EXPECT_EQ(at(99).age_ns, 5 * kSecond + 99 * kMs) << "of that nobody doubts";
    EXPECT_EQ(at(100).silent_ns, 5 * kSecond + 100 * kMs);
    link.read(1, kBegin + 5 * kSecond + 50 * kMs);
    EXPECT_EQ(at(100).silent_ns, 50 * kMs);
}

TEST(Reading, TimesOfTheKernelMayBeAnInstantAhead)
{
    Link link;
    link.arrive(1000, kBegin + 1);
    link.read(1, kBegin + 2);
    const Reading r = first_reading(link.sample(kBegin));
    EXPECT_EQ(r.age_ns, 0U);
    EXPECT_EQ(r.silent_ns, 0U);
    EXPECT_EQ(r.since_read_ns, 0U);
    EXPECT_FALSE(r.if_silent);
}

TEST(Reading, OfAWindowThatIsNotKnownHasNoForecastAndIsNotClosed)
{
    Link link;
    History history;
    link.raw().window = {};
    link.raw().window.flags = DW_WINDOW_UNKNOWN;
    link.raw().data_end = 0;
    Reading r;
    for (std::uint64_t i = 0; i < 40; i++) {
        link.arrive(1'000'000, kBegin + i * 100 * kMs);
        const SocketSample s = link.sample(kBegin + i * 100 * kMs + 50 * kMs);
        history.add(s);
        r = make_reading(s, history);
    }
    EXPECT_FALSE(r.window_known);
    EXPECT_FALSE(r.if_silent);
    EXPECT_FALSE(r.if_reading);
    EXPECT_FALSE(r.closed_in_effect);
    EXPECT_EQ(r.fill(), 0);
    EXPECT_TRUE(r.wanted);
    EXPECT_EQ(r.age_ns, 3950 * kMs);
}

TEST(Reading, BelowRcvlowatTheReaderIsNotWanted)
{
    Link link;
    link.raw().rcvlowat = 1000;
    link.arrive(999, kBegin);
    EXPECT_FALSE(first_reading(link.sample(kBegin)).wanted);
    link.arrive(1, kBegin);
    EXPECT_TRUE(first_reading(link.sample(kBegin)).wanted);
    link.read(1, kBegin);
    link.close_window(kBegin);  // the kernel wakes the reader then
    EXPECT_TRUE(first_reading(link.sample(kBegin)).wanted);
}

/// The buffer was made smaller than the segments that came before: what it can hold is all that is
/// waited for.
TEST(Reading, ClosedInEffectIsLessThanTheWholeWindowWhereThatIsLessThanOneSegment)
{
    Link link;
    dw_window& w = link.raw().window;
    w.rcv_mss = 32768;
    w.rcvbuf = 16384;
    w.rcv_wnd = 0;
    w.rcv_wup = w.rcv_nxt;
    EXPECT_FALSE(first_reading(link.sample(kBegin)).closed_in_effect);
    w.rmem = w.rcvbuf;
    EXPECT_TRUE(first_reading(link.sample(kBegin)).closed_in_effect);
}

TEST(Reading, ClosedInEffectIsLessThanOneSegment)
{
    Link link;
    link.arrive(1000, kBegin);
    dw_window& w = link.raw().window;
    w.rmem = w.rcvbuf;  // wants zero
    w.rcv_wup = w.rcv_nxt;
    w.rcv_mss = 1408;  // 11 << 7
    w.rcv_wnd = 1408;
    EXPECT_FALSE(first_reading(link.sample(kBegin)).closed_in_effect);
    w.rcv_wnd = 1280;
    const Reading r = first_reading(link.sample(kBegin));
    EXPECT_TRUE(r.closed_in_effect);
    EXPECT_FALSE(r.closed);
    EXPECT_EQ(r.headroom_bytes, 1280U);
    EXPECT_EQ(r.rmem_bytes, 128U << 20);
    EXPECT_EQ(r.rcvbuf_bytes, 128U << 20);
}

TEST(Reading, HabitIsExceededByHalfAsMuchAgain)
{
    Link link;
    link.raw().habit_gap_ns = 200 * kMs;
    link.raw().habit_depth_bytes = 4321;
    const Reading r = first_reading(link.sample(kBegin));
    EXPECT_EQ(r.usual_silence_ns, 300 * kMs);
    EXPECT_EQ(r.usual_depth_bytes, 4321U);
    EXPECT_EQ(r.read_spacing_ns, 200 * kMs);
}

TEST(Reading, LowerBoundCountsWhileDataWaits)
{
    Link link;
    link.raw().age_is_lower_bound = true;
    EXPECT_FALSE(first_reading(link.sample(kBegin)).age_is_lower_bound);
    link.arrive(1, kBegin);
    EXPECT_TRUE(first_reading(link.sample(kBegin)).age_is_lower_bound);
}

/// 20,000 bytes from running out of memory, at one byte for each of payload; the window is wider.
void narrow(dw_window& w, std::uint32_t unread)
{
    w.rcvbuf = 20'000 + static_cast<int>(unread);
    w.rmem = static_cast<int>(unread);
    w.rcv_wup = w.rcv_nxt;
    w.rcv_wnd = 50'048;
}

/// 100 bytes each 10 ms, ten times, and 10 ms more: 10,000 bytes/s for 100 ms.
Link ten_arrivals()
{
    Link link;
    for (std::uint64_t i = 0; i < 10; i++) {
        link.arrive(100, kBegin + i * 10 * kMs);
    }
    narrow(link.raw().window, 1000);
    return link;
}

TEST(ForecastIfSilent, ByTheRateSinceTheSilenceBeganAndByThatOfItsLastThird)
{
    const Reading r = first_reading(ten_arrivals().sample(kBegin + 100 * kMs));
    EXPECT_DOUBLE_EQ(r.to_zero_bytes, 20'000);
    ASSERT_TRUE(r.if_silent);
    EXPECT_DOUBLE_EQ(r.if_silent->long_s, 2.0);
    // The last third, 33.3 ms, holds three arrivals, or three and a third of their intervals.
    EXPECT_NEAR(r.if_silent->short_s, 2.1, 0.15);
    EXPECT_DOUBLE_EQ(r.fill(), 1000.0 / 21'000);
}

TEST(ForecastIfSilent, NoneOnceNothingComesAnyMore)
{
    // 400 ms: nothing came in the last third
    EXPECT_FALSE(first_reading(ten_arrivals().sample(kBegin + 400 * kMs)).if_silent);
}

TEST(ForecastIfSilent, StartsAnewWithEachRead)
{
    Link link = ten_arrivals();
    link.read(650, kBegin + 75 * kMs);  // 350 are left, 50 of them from 60 ms
    narrow(link.raw().window, 350);
    const Reading r = first_reading(link.sample(kBegin + 95 * kMs));
    ASSERT_TRUE(r.if_silent);
    EXPECT_DOUBLE_EQ(r.to_zero_bytes, 20'000);
    EXPECT_DOUBLE_EQ(r.if_silent->long_s, 2.0);   // 200 bytes in 20 ms
    EXPECT_DOUBLE_EQ(r.if_silent->short_s, 2.0);  // 100 bytes in 10 ms
}

/// The same stream as the kernel side keeps it: in sixteen entries.
class KernelSideStream : public ::testing::TestWithParam<std::uint64_t> {};

/// For 600 ms nobody reads a steady 1 MB/s, in segments `GetParam()` ns apart.
TEST_P(KernelSideStream, IsForecastRightHoweverManySegmentsItHas)
{
    const std::uint64_t spacing_ns = GetParam();
    const auto segment = static_cast<std::uint32_t>(spacing_ns / 1000);
    dw_slot slot{};
    slot.cookie = 77;
    slot.rcvlowat = 1;
    std::uint32_t end = 0;
    for (std::uint64_t t = 0; t < 600 * kMs; t += spacing_ns) {
        end += segment;
        dw_track_arrival(&slot, end, kBegin + t);
    }
    slot.window = Link().sample(0).window;
    slot.window.rcv_nxt = end;
    slot.copied_seq = 0;
    const SocketSample sample = decode_slot(slot, kBegin + 600 * kMs);
    const Reading r = first_reading(sample);
    ASSERT_TRUE(r.if_silent);
    const double seconds = r.to_zero_bytes / 1e6;
    EXPECT_NEAR(r.if_silent->long_s, seconds, 0.1 * seconds);
    EXPECT_GT(r.if_silent->short_s, seconds / 1.5);
    EXPECT_LT(r.if_silent->short_s, seconds * 1.5);
}

INSTANTIATE_TEST_SUITE_P(SegmentsApart, KernelSideStream,
                         ::testing::Values(40 * kMs, 10 * kMs, 1 * kMs, kMs / 10));

/// Looks each 5 ms: the queue grows by 100 bytes from one to the next.
struct Growing {
    Link link;
    History history;

    Reading after(std::uint64_t ms)
    {
        link.raw().habit_gap_ns = 0;  // windows of 25 ms
        Reading r;
        for (std::uint64_t t = 0; t <= ms; t += 5) {
            link.arrive(t == 0 ? 1100 : 200, kBegin + t * kMs);
            link.read(100, kBegin + t * kMs);
            const auto unread = link.sample(0).unread_bytes();
            narrow(link.raw().window, unread);
            const SocketSample s = link.sample(kBegin + t * kMs);
            history.add(s);
            r = make_reading(s, history);
        }
        return r;
    }
};

TEST(ForecastIfReading, ByTheRiseOfTheTroughs)
{
    Growing growing;
    const Reading r = growing.after(100);
    EXPECT_TRUE(r.reads);
    EXPECT_EQ(r.unread_bytes, 3000U);
    ASSERT_TRUE(r.if_reading);
    // troughs 1500, 2000, 2500, 25 ms apart: 20,000 bytes/s
    EXPECT_DOUBLE_EQ(r.if_reading->short_s, 1.0);
    EXPECT_DOUBLE_EQ(r.if_reading->long_s, 1.0);
    EXPECT_DOUBLE_EQ(r.arrival_bytes_per_s, 40'000);
    EXPECT_DOUBLE_EQ(r.drain_bytes_per_s, 20'000);
}

TEST(ForecastIfReading, NeedsTwoWindows)
{
    Growing young;
    EXPECT_FALSE(young.after(45).if_reading);
    Growing old;
    const Reading r = old.after(50);
    ASSERT_TRUE(r.if_reading);
    // troughs 0 (before it was seen), 1000, 1500
    EXPECT_DOUBLE_EQ(r.if_reading->short_s, 1.0);
    EXPECT_NEAR(r.if_reading->long_s, 20'000 / 30'000.0, 1e-9);
}

/// As they do in the middle of an episode, and while polling.
TEST(ForecastIfReading, LooksThatComeRarelyTakeLongerWindows)
{
    Link link;
    History history;
    Reading r;
    for (std::uint64_t t = 0; t <= 1000; t += 50) {
        link.arrive(2000, kBegin + t * kMs);
        link.read(1000, kBegin + t * kMs);
        const SocketSample s = link.sample(kBegin + t * kMs);
        history.add(s);
        r = make_reading(s, history);
    }
    ASSERT_TRUE(r.if_reading);
    EXPECT_NEAR(r.if_reading->long_s, r.to_zero_bytes / 20'000, 0.01 * r.to_zero_bytes / 20'000);
}

TEST(ForecastIfReading, ASawToothThatDoesNotRiseIsNone)
{
    // 100 bytes each 5 ms, all but 100 read each 25 ms.
    Link link;
    History history;
    link.raw().habit_gap_ns = 25 * kMs;
    for (std::uint64_t i = 0; i <= 400; i++) {
        const std::uint64_t now = kBegin + i * 5 * kMs;
        link.arrive(100, now);
        if (i % 5 == 4) {
            link.read(link.sample(0).unread_bytes() - 100, now);
        }
        narrow(link.raw().window, link.sample(0).unread_bytes());
        const SocketSample s = link.sample(now);
        history.add(s);
        ASSERT_FALSE(make_reading(s, history).if_reading) << "look " << i;
    }
}

/// Things that happen every 5 ms, each of them up to 8 ms late.
class Beat {
public:
    explicit Beat(std::uint64_t first_ns) : due_ns_(first_ns), at_ns_(first_ns) {}

    [[nodiscard]] std::optional<std::uint64_t> next_until(std::uint64_t now_ns,
                                                          std::mt19937& random)
    {
        if (at_ns_ > now_ns) {
            return std::nullopt;
        }
        const std::uint64_t at_ns = at_ns_;
        due_ns_ += 5 * kMs;
        at_ns_ = std::max(at_ns, due_ns_ + random() % (8 * kMs));
        return at_ns;
    }

private:
    std::uint64_t due_ns_;
    std::uint64_t at_ns_;
};

/// As much is read as comes, in its own time: by some messages the queue rises and falls for ever,
/// whether it was there before the watch, or has come at once with a new connection.
TEST(ForecastIfReading, AQueueThatStandsIsNotSaidToRunFull)
{
    constexpr std::uint32_t kMessage = 400;
    std::mt19937 random(8765);  // NOLINT(cert-msc51-cpp): the same each time
    for (int i = 0; i < 44; i++) {
        const std::uint64_t look_ms = i % 2 == 0 ? 5 : 50;
        const bool is_new = i >= 4;
        const std::uint64_t end_ns = kBegin + (is_new ? 5 : 300) * kSecond;
        Link link;
        History history;
        link.raw().age_is_lower_bound = true;
        link.raw().is_new = is_new;
        link.raw().habit_gap_ns = 15 * kMs;
        link.arrive(60'000, kBegin);
        Beat arrivals(kBegin + 5 * kMs);
        Beat reads(kBegin + 7 * kMs);
        unsigned reading = 0;
        for (std::uint64_t now = kBegin; now < end_ns; now += look_ms * kMs) {
            while (const auto at_ns = arrivals.next_until(now, random)) {
                link.arrive(kMessage, *at_ns);
            }
            while (const auto at_ns = reads.next_until(now, random)) {
                link.read(kMessage, *at_ns);
            }
            narrow(link.raw().window, link.sample(now).unread_bytes());
            const SocketSample s = link.sample(now);
            history.add(s);
            const Reading r = make_reading(s, history);
            reading += r.reads && r.piles_up() ? 1 : 0;
            const auto finding = falling_behind(r, Limits{});
            ASSERT_FALSE(finding) << finding->reason << " at " << (now - kBegin) / kMs << " ms";
        }
        EXPECT_GT(reading, is_new ? 20U : 1000U);
    }
}

TEST(ForecastIfReading, ASawToothThatRisesIsOne)
{
    // 100 bytes each 5 ms, 400 of 500 read each 25 ms: 100 bytes more each time, 4000 bytes/s.
    Link link;
    History history;
    link.raw().habit_gap_ns = 20 * kMs;  // windows of 25 ms
    Reading r;
    for (std::uint64_t i = 0; i <= 400; i++) {
        const std::uint64_t now = kBegin + i * 5 * kMs;
        link.arrive(100, now);
        if (i % 5 == 4) {
            link.read(400, now);
        }
        narrow(link.raw().window, link.sample(0).unread_bytes());
        const SocketSample s = link.sample(now);
        history.add(s);
        r = make_reading(s, history);
    }
    ASSERT_TRUE(r.if_reading);
    EXPECT_DOUBLE_EQ(r.if_reading->short_s, 5.0);
    EXPECT_DOUBLE_EQ(r.if_reading->long_s, 5.0);
}

TEST(ForecastIfReading, ComparesNoMoreOftenThanTheReaderReads)
{
    // One read each 400 ms takes all but 100 bytes: between two reads the queue only grows.
    Link link;
    History history;
    link.raw().habit_gap_ns = 400 * kMs;
    for (std::uint64_t i = 0; i <= 600; i++) {
        const std::uint64_t now = kBegin + i * 10 * kMs;
        link.arrive(100, now);
        if (i % 40 == 39) {
            link.read(link.sample(0).unread_bytes() - 100, now);
        }
        narrow(link.raw().window, link.sample(0).unread_bytes());
        const SocketSample s = link.sample(now);
        history.add(s);
        const Reading r = make_reading(s, history);
        // From the first read on, which ends the only rise there is.
        if (i >= 40) {
            ASSERT_TRUE(r.reads) << "look " << i;
        }
        if (i >= 150) {
            ASSERT_FALSE(r.if_reading) << "look " << i;
        }
    }
}

TEST(Reading, ReadsMeansProgressWithinTwiceTheUsualSpacing)
{
    struct Case {
        std::uint64_t habit_ms, silent_ms;
        bool reads;
    };
    // With no habit: 50 ms
    for (const Case& c :
         {Case{0, 40, true}, Case{0, 60, false}, Case{100, 190, true}, Case{100, 210, false}}) {
        Link link;
        History history;
        link.raw().habit_gap_ns = c.habit_ms * kMs;
        link.arrive(10'000, kBegin);
        history.add(link.sample(kBegin));
        history.add(link.sample(kBegin + 990 * kMs));
        link.read(10, kBegin + 1000 * kMs);
        for (std::uint64_t t = 0; t <= c.silent_ms; t += 10) {
            history.add(link.sample(kBegin + (1000 + t) * kMs));
        }
        const Reading r = make_reading(link.sample(kBegin + (1000 + c.silent_ms) * kMs), history);
        EXPECT_EQ(r.reads, c.reads) << c.silent_ms << " of " << c.habit_ms;
    }
}

TEST(Reading, RateOfTheFirstLookIsThatOfTheArrivals)
{
    const Reading r = first_reading(ten_arrivals().sample(kBegin + 100 * kMs));
    EXPECT_DOUBLE_EQ(r.arrival_bytes_per_s, 10'000);
    EXPECT_DOUBLE_EQ(r.drain_bytes_per_s, 0);
}

}  // namespace
}  // namespace drainwatch::reading_test
