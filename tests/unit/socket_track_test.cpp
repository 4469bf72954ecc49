#include "drainwatch/socket_track.h"

#include "durations.hpp"

#include <gtest/gtest.h>

namespace socket_track_test {
namespace {

using drainwatch::test::kMs;
using drainwatch::test::kSecond;

constexpr std::uint64_t kWarnAfter = 1 * kSecond;

/// Watched from the first byte on, which has the number 1000.
dw_slot fresh_slot()
{
    dw_slot s{};
    s.window.rcv_nxt = 1000;
    s.copied_seq = 1000;
    s.data_end = 1000;
    s.end_at_open = 1000;
    return s;
}

void arrive(dw_slot& s, std::uint32_t data_end, std::uint64_t at_ns)
{
    s.window.rcv_nxt = data_end;
    dw_track_arrival(&s, data_end, at_ns);
}

void read_to(dw_slot& s, std::uint32_t copied_seq, std::uint64_t at_ns)
{
    dw_track_read(&s, copied_seq, at_ns, at_ns, kWarnAfter);
}

/// A hundred jiffies a second; the read is at 5000.
constexpr std::uint64_t kJiffy = 10 * kMs;
constexpr std::uint32_t kNow = 5000;

/// All of 1000 to 1100 is unread, and arrived in this jiffy.
dw_slot slot_of_one_message()
{
    dw_slot s = fresh_slot();
    arrive(s, 1100, kSecond);
    s.arrived_jiffies = kNow;
    return s;
}

TEST(KeepsUp, WhoReadsAllOfItAtOnce)
{
    const dw_slot s = slot_of_one_message();
    EXPECT_TRUE(dw_keeps_up(&s, 1100, kNow, kJiffy));
    EXPECT_TRUE(dw_keeps_up(&s, 1100, kNow + 1, kJiffy));
}

TEST(KeepsUp, NotWhoComesLater)
{
    const dw_slot s = slot_of_one_message();
    EXPECT_FALSE(dw_keeps_up(&s, 1100, kNow + 2, kJiffy));
    EXPECT_FALSE(dw_keeps_up(&s, 1100, kNow - 1, kJiffy)) << "two CPUs have crossed";
}

TEST(KeepsUp, NotWhoLeavesSomething)
{
    const dw_slot s = slot_of_one_message();
    EXPECT_FALSE(dw_keeps_up(&s, 1099, kNow, kJiffy));
}

TEST(KeepsUp, NotWhoReadsWhatNoArrivalToldOf)
{
    dw_slot s = slot_of_one_message();
    EXPECT_FALSE(dw_keeps_up(&s, 1101, kNow, kJiffy));
    read_to(s, 1100, kSecond);
    EXPECT_FALSE(dw_keeps_up(&s, 1100, kNow, kJiffy)) << "nothing is unread";
}

TEST(KeepsUp, NotWhoLetTheFirstOfItWait)
{
    dw_slot s = slot_of_one_message();
    arrive(s, 1200, kSecond + kJiffy);
    EXPECT_TRUE(dw_keeps_up(&s, 1200, kNow, kJiffy));
    arrive(s, 1300, kSecond + kJiffy + 1);
    EXPECT_FALSE(dw_keeps_up(&s, 1300, kNow, kJiffy));
}

TEST(KeepsUp, AcrossTheWrapOfJiffies)
{
    dw_slot s = slot_of_one_message();
    s.arrived_jiffies = ~0U;
    EXPECT_TRUE(dw_keeps_up(&s, 1100, 0, kJiffy));
    EXPECT_FALSE(dw_keeps_up(&s, 1100, 1, kJiffy));
}

TEST(OwnCookie, IsUniqueAndExactInJson)
{
    constexpr std::uint32_t kLastSlot = (1U << 20) - 1;
    EXPECT_NE(dw_own_cookie(1, 0), dw_own_cookie(0, kLastSlot));
    EXPECT_NE(dw_own_cookie(1, 5), dw_own_cookie(2, 5));
    EXPECT_NE(dw_own_cookie(2, 5), dw_own_cookie(2, 6));
    const std::uint64_t largest = dw_own_cookie(~0U, kLastSlot);
    EXPECT_LT(largest, std::uint64_t{1} << 53);
    EXPECT_EQ(static_cast<std::uint64_t>(static_cast<double>(largest)), largest);
}

TEST(State, DataComesBetweenHandshakeAndEnd)
{
    for (std::uint8_t state = 1; state <= 11; state++) {
        const bool without = state == 2 || state == 3 || state == 7 || state == 10;
        EXPECT_EQ(dw_carries_data(state) == 0, without) << "state " << int{state};
    }
}

TEST(Fin, IsReceivedInTheStatesAfterIt)
{
    // 4 FIN_WAIT1, 5 FIN_WAIT2: our own FIN; 6 TIME_WAIT and 12 NEW_SYN_RECV have no tcp_sock
    for (std::uint8_t state = 1; state <= 12; state++) {
        const bool received = state == 8 || state == 9 || state == 11;
        EXPECT_EQ(dw_fin_received(state) != 0, received) << "state " << int{state};
    }
}

TEST(Fin, IsNoUnreadData)
{
    dw_slot s = fresh_slot();
    s.window.rcv_nxt = 1001;
    dw_track_arrival(&s, 1000, 5 * kSecond);  // rcv_nxt without the FIN
    s.window.copied_seq = s.copied_seq;
    EXPECT_EQ(dw_recv_queue(&s.window), 1U);  // ss shows it
    EXPECT_EQ(dw_unread_bytes(&s), 0U);
    EXPECT_EQ(s.unread.count, 0U);
}

TEST(Fin, ReadingItLeavesNothingUnread)
{
    dw_slot s = fresh_slot();
    arrive(s, 1500, 1 * kSecond);
    s.window.rcv_nxt = 1501;
    dw_track_arrival(&s, 1500, 2 * kSecond);
    EXPECT_EQ(s.unread.count, 1U);
    EXPECT_EQ(dw_unread_bytes(&s), 500U);
    read_to(s, 1501, 3 * kSecond);  // the kernel counts the FIN as read
    EXPECT_EQ(dw_unread_bytes(&s), 0U);
    EXPECT_EQ(dw_fifo_oldest_ns(&s.unread), 0U);
}

TEST(Arrival, CountsNewDataOnly)
{
    dw_slot s = fresh_slot();
    arrive(s, 1100, 1 * kSecond);
    arrive(s, 1100, 2 * kSecond);             // a pure ACK, a probe
    dw_track_arrival(&s, 1050, 3 * kSecond);  // seen late
    EXPECT_EQ(s.unread.count, 1U);
    EXPECT_EQ(s.data_end, 1100U);
    EXPECT_EQ(dw_unread_bytes(&s), 100U);
    EXPECT_EQ(dw_silent_since_ns(&s), 1 * kSecond);
}

TEST(Arrival, OfWhatIsAlreadyReadLeavesNothing)
{
    dw_slot s = fresh_slot();
    s.copied_seq = 1200;  // the read was seen first
    arrive(s, 1200, 1 * kSecond);
    EXPECT_EQ(s.data_end, 1200U);
    EXPECT_EQ(s.unread.count, 0U);
    EXPECT_EQ(dw_unread_bytes(&s), 0U);
    EXPECT_EQ(dw_silent_since_ns(&s), 0U);
}

TEST(Arrival, AcrossTheWrap)
{
    dw_slot s = fresh_slot();
    s.copied_seq = s.data_end = 0xffffffc0;
    arrive(s, 0x40, 1 * kSecond);
    EXPECT_EQ(dw_unread_bytes(&s), 128U);
    read_to(s, 0x20, 2 * kSecond);
    EXPECT_EQ(dw_unread_bytes(&s), 32U);
    EXPECT_EQ(dw_fifo_oldest_ns(&s.unread), 1 * kSecond);
    read_to(s, 0x40, 3 * kSecond);
    EXPECT_EQ(dw_unread_bytes(&s), 0U);
    EXPECT_EQ(s.unread.count, 0U);
}

TEST(UnreadBytes, IsNothingWhenTheHeadIsAhead)
{
    dw_slot s = fresh_slot();
    s.copied_seq = 1001;
    EXPECT_EQ(dw_unread_bytes(&s), 0U);
}

TEST(Read, OwesTheNextFromTheLaterOfArrivalAndRead)
{
    dw_slot s = fresh_slot();
    arrive(s, 1100, 10 * kSecond);
    arrive(s, 1200, 11 * kSecond);
    EXPECT_EQ(dw_silent_since_ns(&s), 10 * kSecond);
    read_to(s, 1050, 12 * kSecond);
    EXPECT_EQ(s.last_read_ns, 12 * kSecond);
    EXPECT_EQ(dw_silent_since_ns(&s), 12 * kSecond);
    EXPECT_EQ(dw_fifo_oldest_ns(&s.unread), 10 * kSecond);
    read_to(s, 1200, 13 * kSecond);
    EXPECT_EQ(dw_silent_since_ns(&s), 0U);
    arrive(s, 1300, 14 * kSecond);
    EXPECT_EQ(dw_silent_since_ns(&s), 14 * kSecond);
}

TEST(Read, APeekIsNone)
{
    dw_slot s = fresh_slot();
    arrive(s, 1100, 10 * kSecond);
    s.flags = DW_SLOT_LOWER_BOUND | DW_SLOT_WAS_CLOSED;
    read_to(s, 1000, 10 * kSecond + 500 * kMs);
    EXPECT_EQ(s.last_read_ns, 0U);
    EXPECT_EQ(dw_silent_since_ns(&s), 10 * kSecond);
    EXPECT_EQ(s.habit.longest_gap_ns[0], 0U);
    EXPECT_EQ(s.flags, DW_SLOT_LOWER_BOUND | DW_SLOT_WAS_CLOSED);
}

TEST(LowerBound, EndsOnceAllThatWasThereBeforeIsRead)
{
    dw_slot s = fresh_slot();
    s.data_end = s.end_at_open = s.window.rcv_nxt = 5000;
    dw_fifo_push(&s.unread, 5000, 1 * kSecond);
    s.flags = DW_SLOT_LOWER_BOUND;
    arrive(s, 6000, 2 * kSecond);
    read_to(s, 4999, 3 * kSecond);
    EXPECT_TRUE(s.flags & DW_SLOT_LOWER_BOUND);
    read_to(s, 5000, 4 * kSecond);
    EXPECT_FALSE(s.flags & DW_SLOT_LOWER_BOUND);
    EXPECT_EQ(dw_fifo_oldest_ns(&s.unread), 2 * kSecond);
}

TEST(LowerBound, EndsAcrossTheWrap)
{
    dw_slot s = fresh_slot();
    s.copied_seq = 0xfffffff0;
    s.data_end = s.end_at_open = 0x10;
    s.flags = DW_SLOT_LOWER_BOUND;
    read_to(s, 0xffffffff, 1 * kSecond);
    EXPECT_TRUE(s.flags & DW_SLOT_LOWER_BOUND);
    read_to(s, 0x10, 2 * kSecond);
    EXPECT_FALSE(s.flags & DW_SLOT_LOWER_BOUND);
}

TEST(Habit, IsTheLongestSilenceAndTheDeepestQueue)
{
    dw_slot s = fresh_slot();
    arrive(s, 1700, 10 * kSecond);
    read_to(s, 1700, 10 * kSecond + 300 * kMs);
    EXPECT_EQ(s.habit.longest_gap_ns[0], 300 * kMs);
    EXPECT_EQ(s.habit.deepest_bytes[0], 700U);
    // A shorter and shallower one changes nothing.
    arrive(s, 1800, 11 * kSecond);
    read_to(s, 1800, 11 * kSecond + 100 * kMs);
    EXPECT_EQ(s.habit.longest_gap_ns[0], 300 * kMs);
    EXPECT_EQ(s.habit.deepest_bytes[0], 700U);
    // Each is a maximum of its own.
    arrive(s, 4800, 12 * kSecond);
    read_to(s, 4800, 12 * kSecond + 10 * kMs);
    EXPECT_EQ(s.habit.longest_gap_ns[0], 300 * kMs);
    EXPECT_EQ(s.habit.deepest_bytes[0], 3000U);
}

TEST(Habit, CountsFromTheLastReadWhileDataStays)
{
    dw_slot s = fresh_slot();
    arrive(s, 1700, 10 * kSecond);
    read_to(s, 1100, 10 * kSecond + 100 * kMs);
    read_to(s, 1200, 10 * kSecond + 350 * kMs);
    EXPECT_EQ(s.habit.longest_gap_ns[0], 250 * kMs);
}

TEST(Habit, AnIncidentIsNone)
{
    struct Case {
        std::uint64_t gap;
        std::uint64_t learned;
    };
    for (const Case& c : {Case{kWarnAfter - 1, kWarnAfter - 1}, Case{kWarnAfter, 0},
                          Case{kWarnAfter + 1, 0}, Case{3600 * kSecond, 0}}) {
        dw_slot s = fresh_slot();
        arrive(s, 1700, 10 * kSecond);
        read_to(s, 1700, 10 * kSecond + c.gap);
        EXPECT_EQ(s.habit.longest_gap_ns[0], c.learned) << c.gap;
        EXPECT_EQ(s.habit.deepest_bytes[0], c.learned != 0 ? 700U : 0U) << c.gap;
    }
}

TEST(Habit, IsNotLearnedFromASilenceThatClosedTheWindow)
{
    dw_slot s = fresh_slot();
    arrive(s, 1700, 10 * kSecond);
    s.flags = DW_SLOT_CLOSED | DW_SLOT_WAS_CLOSED;
    read_to(s, 1100, 10 * kSecond + 100 * kMs);
    EXPECT_EQ(s.habit.longest_gap_ns[0], 0U);
    // Closed still, as far as was announced: nor is the next one.
    EXPECT_TRUE(s.flags & DW_SLOT_WAS_CLOSED);
    read_to(s, 1200, 10 * kSecond + 200 * kMs);
    EXPECT_EQ(s.habit.longest_gap_ns[0], 0U);
    // Reopened: this silence still began closed, the one after it did not.
    s.flags &= static_cast<std::uint8_t>(~DW_SLOT_CLOSED);
    read_to(s, 1300, 10 * kSecond + 300 * kMs);
    EXPECT_EQ(s.habit.longest_gap_ns[0], 0U);
    EXPECT_FALSE(s.flags & DW_SLOT_WAS_CLOSED);
    read_to(s, 1400, 10 * kSecond + 450 * kMs);
    EXPECT_EQ(s.habit.longest_gap_ns[0], 150 * kMs);
}

TEST(Habit, NothingUnreadIsNoSilence)
{
    dw_slot s = fresh_slot();
    s.last_read_ns = 1 * kSecond;
    read_to(s, 1100, 1 * kSecond + 500 * kMs);  // read before the arrival was seen
    EXPECT_EQ(s.habit.longest_gap_ns[0], 0U);
    EXPECT_EQ(s.last_read_ns, 1 * kSecond + 500 * kMs);
}

TEST(Habit, AClockThatIsAnInstantBehindTheArrivalIsNoSilence)
{
    dw_slot s = fresh_slot();
    arrive(s, 1700, 10 * kSecond);
    read_to(s, 1700, 10 * kSecond - 500);
    EXPECT_EQ(s.habit.longest_gap_ns[0], 0U);
    EXPECT_EQ(s.habit.deepest_bytes[0], 700U);
}

TEST(Habit, FadesOverTwoPeriods)
{
    dw_slot s = fresh_slot();
    const std::uint64_t begin = 10 * kSecond;
    arrive(s, 1700, begin);
    read_to(s, 1700, begin + 300 * kMs);
    const std::uint64_t second = begin + DW_HABIT_PERIOD_NS + kSecond;
    arrive(s, 1800, second);
    read_to(s, 1800, second + 50 * kMs);
    EXPECT_EQ(s.habit.longest_gap_ns[0], 50 * kMs);
    EXPECT_EQ(s.habit.deepest_bytes[0], 100U);
    EXPECT_EQ(s.habit.longest_gap_ns[1], 300 * kMs);
    EXPECT_EQ(s.habit.deepest_bytes[1], 700U);
    const std::uint64_t third = second + DW_HABIT_PERIOD_NS + kSecond;
    arrive(s, 1850, third);
    read_to(s, 1850, third + 20 * kMs);
    EXPECT_EQ(s.habit.longest_gap_ns[0], 20 * kMs);
    EXPECT_EQ(s.habit.longest_gap_ns[1], 50 * kMs);
    EXPECT_EQ(s.habit.deepest_bytes[1], 100U);
}

TEST(Habit, IsForgottenAfterAPeriodWithoutAnyRead)
{
    dw_slot s = fresh_slot();
    arrive(s, 1700, 10 * kSecond);
    read_to(s, 1700, 10 * kSecond + 300 * kMs);
    const std::uint64_t later = 11 * kSecond + 2 * DW_HABIT_PERIOD_NS;
    arrive(s, 1800, later);
    read_to(s, 1800, later + 50 * kMs);
    EXPECT_EQ(s.habit.longest_gap_ns[0], 50 * kMs);
    EXPECT_EQ(s.habit.longest_gap_ns[1], 0U);
    EXPECT_EQ(s.habit.deepest_bytes[1], 0U);
}

TEST(Habit, AReadThatIsAnInstantOlderThanThePeriodEndsNone)
{
    dw_slot s = fresh_slot();
    arrive(s, 1700, 400 * kSecond);
    read_to(s, 1700, 400 * kSecond + 300 * kMs);
    arrive(s, 1800, 400 * kSecond + 299 * kMs);  // two CPUs have crossed
    read_to(s, 1800, 400 * kSecond + 299 * kMs);
    EXPECT_EQ(s.habit.longest_gap_ns[0], 300 * kMs);
}

/// `unread` of 16,000 bytes that fit into queue and announced window together.
dw_slot filled(std::uint32_t unread)
{
    dw_slot s = fresh_slot();
    s.data_end = s.window.rcv_nxt = 1000 + unread;
    s.window.rcv_wup = s.window.rcv_nxt;
    s.window.rcv_wnd = 16'000 - unread;
    s.window.rcv_mss = 536;
    s.window.rcvbuf = 1'000'000;
    return s;
}

TEST(Danger, ByWindow)
{
    struct Case {
        std::uint32_t unread;
        int level;
    };
    for (const Case& c :
         {Case{0, 0}, Case{1, 0}, Case{999, 0}, Case{1000, 1}, Case{1999, 1}, Case{2000, 2},
          Case{3999, 2}, Case{4000, 3}, Case{7999, 3}, Case{8000, 4}, Case{11999, 4},
          Case{12000, 5}, Case{15464, 5}, Case{15465, 6}, Case{16000, 6}}) {
        const dw_slot s = filled(c.unread);
        EXPECT_EQ(dw_danger_level(&s), c.level) << c.unread << " bytes";
    }
}

TEST(Danger, ByMemory)
{
    struct Case {
        int rmem;
        int level;
    };
    for (const Case& c : {Case{-1, 0}, Case{0, 0}, Case{62'499, 0}, Case{62'500, 1},
                          Case{125'000, 2}, Case{250'000, 3}, Case{499'999, 3}, Case{500'000, 4},
                          Case{749'999, 4}, Case{750'000, 5}, Case{2'000'000, 5}}) {
        dw_slot s = filled(1);
        s.window.rmem = c.rmem;
        EXPECT_EQ(dw_danger_level(&s), c.level) << c.rmem << " bytes of memory";
    }
}

TEST(Danger, IsTheWorseOfTheTwoAndNoneWithoutUnreadData)
{
    dw_slot s = filled(8000);
    s.window.rmem = 750'000;
    EXPECT_EQ(dw_danger_level(&s), 5);
    s.window.rmem = 62'500;
    EXPECT_EQ(dw_danger_level(&s), 4);
    s.copied_seq = s.data_end;
    s.window.rcv_wnd = 0;
    s.window.rmem = 1'000'000;
    EXPECT_EQ(dw_danger_level(&s), 0);
}

TEST(Danger, SurvivesABufferOfNothing)
{
    dw_slot s = filled(1);
    s.window.rcvbuf = 0;
    EXPECT_EQ(dw_danger_level(&s), 0);
    s.window.rmem = 832;
    EXPECT_EQ(dw_danger_level(&s), 5);
}

TEST(Read, NeverMovesBack)
{
    dw_slot s = fresh_slot();
    arrive(s, 1500, 1 * kSecond);
    read_to(s, 1200, 2 * kSecond);
    read_to(s, 1100, 3 * kSecond);  // seen late, by another CPU
    EXPECT_EQ(s.copied_seq, 1200U);
    EXPECT_EQ(s.last_read_ns, 2 * kSecond);
}

/// Two that look at a slot before either of them has written to it.
TEST(Window, AnAnnouncementThatTwoSeeCountsOnce)
{
    dw_slot s = fresh_slot();
    for (std::uint32_t count = 1; count <= 3; count++) {
        std::uint32_t on_its_way_out = 0;
        std::uint32_t in_a_look = 0;
        ASSERT_TRUE(dw_window_turned(&s, 1, &on_its_way_out));
        ASSERT_TRUE(dw_window_turned(&s, 1, &in_a_look));
        EXPECT_TRUE(dw_turn_window(&s, 1, on_its_way_out));
        EXPECT_FALSE(dw_turn_window(&s, 1, in_a_look));
        EXPECT_EQ(s.zero_count, count);
        EXPECT_FALSE(dw_window_turned(&s, 1, &in_a_look));

        ASSERT_TRUE(dw_window_turned(&s, 0, &on_its_way_out));
        ASSERT_TRUE(dw_window_turned(&s, 0, &in_a_look));
        EXPECT_TRUE(dw_turn_window(&s, 0, on_its_way_out));
        EXPECT_FALSE(dw_turn_window(&s, 0, in_a_look));
        EXPECT_EQ(s.zero_count, count);
        EXPECT_EQ(s.flags, DW_SLOT_WAS_CLOSED);
    }
}

/// The look is so late that the window has opened and closed again: that is the other's, too.
TEST(Window, WhoComesLateCountsNothing)
{
    dw_slot s = fresh_slot();
    std::uint32_t late = 0;
    std::uint32_t zeros = 0;
    ASSERT_TRUE(dw_window_turned(&s, 1, &late));
    for (const int closed : {1, 0, 1, 0}) {
        ASSERT_TRUE(dw_window_turned(&s, closed, &zeros));
        ASSERT_TRUE(dw_turn_window(&s, closed, zeros));
    }
    EXPECT_FALSE(dw_turn_window(&s, 1, late));
    EXPECT_EQ(s.zero_count, 2U);
    EXPECT_FALSE(s.flags & DW_SLOT_CLOSED);
}

TEST(Repair, UnreadDataHasAnAge)
{
    dw_slot s = fresh_slot();
    arrive(s, 1500, 1 * kSecond);
    dw_fifo_clear(&s.unread);
    dw_track_repair(&s, 7 * kSecond);
    EXPECT_EQ(dw_fifo_oldest_ns(&s.unread), 7 * kSecond);
    dw_track_repair(&s, 9 * kSecond);
    EXPECT_EQ(s.unread.count, 1U);
    read_to(s, 1500, 10 * kSecond);
    dw_track_repair(&s, 11 * kSecond);
    EXPECT_EQ(s.unread.count, 0U);
}

}  // namespace
}  // namespace socket_track_test
