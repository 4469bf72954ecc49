#include "poll/polled_socket.hpp"

#include "drainwatch/socket_track.h"
#include "durations.hpp"
#include "kernel_socket.hpp"
#include "link.hpp"
#include "polled.hpp"

#include <gtest/gtest.h>

namespace drainwatch::polled_socket_test {
namespace {

using test::kBegin;
using test::KernelSocket;
using test::kMs;
using test::kSecond;
using test::kWarnAfter;
using test::Polled;
using test::silent_ns;
using test::Tells;

TEST(PolledSocket, TakesOverWhatIsKnownOfIt)
{
    const SocketSample s = Polled(KernelSocket(Tells::counters)).socket.sample();
    EXPECT_EQ(s.cookie, Cookie{77});
    EXPECT_EQ(to_string(s.local), "127.0.0.1:8765");
    EXPECT_EQ(to_string(s.remote), "127.0.0.1:40000");
    EXPECT_EQ(s.netns, 1U);
    EXPECT_EQ(s.owner_tgid, 42U);
    EXPECT_EQ(s.taken_ns, kBegin);
    EXPECT_TRUE(s.estimated);
    EXPECT_EQ(s.unread_bytes(), 0U);
    EXPECT_FALSE(s.age_is_lower_bound);
    EXPECT_EQ(s.last_read_ns, 0U);
}

TEST(PolledSocket, AnArrivalHasTheTimeThatTheKernelTells)
{
    for (const Tells tells : {Tells::counters, Tells::times}) {
        Polled p{KernelSocket(tells)};
        p.kernel.arrive(1000, kBegin + 20 * kMs);
        const SocketSample s = p.look(kBegin + 50 * kMs);
        EXPECT_EQ(s.unread_bytes(), 1000U);
        ASSERT_EQ(s.unread.size(), 1U);
        EXPECT_GE(s.unread.front().at_ns, kBegin + 18 * kMs);
        EXPECT_LE(s.unread.front().at_ns, kBegin + 22 * kMs);
        EXPECT_EQ(s.last_read_ns, 0U);
    }
}

TEST(PolledSocket, WithoutTimesAnArrivalIsAsOldAsTheLookThatFoundIt)
{
    Polled p{KernelSocket(Tells::nothing)};
    p.kernel.arrive(1000, kBegin + 20 * kMs);
    const SocketSample s = p.look(kBegin + 50 * kMs);
    ASSERT_EQ(s.unread.size(), 1U);
    EXPECT_GE(s.unread.front().at_ns, kBegin + 50 * kMs);
    EXPECT_TRUE(s.window.flags & DW_WINDOW_UNKNOWN);
}

/// A segment each second, long before the last look: it is not older than that look.
TEST(PolledSocket, AnArrivalIsNeverOlderThanTheLookThatDidNotFindIt)
{
    Polled p{KernelSocket(Tells::counters)};
    (void)p.look(kBegin + 50 * kMs);
    SocketState state = p.kernel.state(kBegin + 100 * kMs);
    state.recv_queue = 10;
    state.info->bytes_received = 10;
    state.info->last_data_recv_ms = 5000;
    p.socket.update(state, kWarnAfter, kBegin + 100 * kMs);
    EXPECT_EQ(p.socket.sample().unread.front().at_ns, kBegin + 50 * kMs);
    state.recv_queue = 20;
    state.info->bytes_received = 20;
    state.info->last_data_recv_ms = ~0U;  // longer than the host has been up
    p.socket.update(state, kWarnAfter, kBegin + 150 * kMs);
    EXPECT_EQ(p.socket.sample().unread.back().at_ns, kBegin + 100 * kMs);
}

TEST(PolledSocket, AReadIsSeenWhateverTheKernelTells)
{
    for (const Tells tells : {Tells::counters, Tells::times, Tells::nothing}) {
        Polled p{KernelSocket(tells)};
        p.kernel.arrive(1000, kBegin + 20 * kMs);
        (void)p.look(kBegin + 50 * kMs);
        p.kernel.read(400, kBegin + 60 * kMs);
        SocketSample s = p.look(kBegin + 100 * kMs);
        EXPECT_EQ(s.unread_bytes(), 600U);
        EXPECT_GE(s.last_read_ns, kBegin + 60 * kMs);
        p.kernel.read_all(kBegin + 110 * kMs);
        s = p.look(kBegin + 150 * kMs);
        EXPECT_EQ(s.unread_bytes(), 0U);
        EXPECT_TRUE(s.unread.empty());
        EXPECT_EQ(s.last_read_ns, kBegin + 150 * kMs);
    }
}

TEST(PolledSocket, AQueueThatStaysEqualWhileDataFlowsIsRead)
{
    for (const Tells tells : {Tells::counters, Tells::times}) {
        Polled p{KernelSocket(tells)};
        p.kernel.arrive(100, kBegin + 10 * kMs);
        for (std::uint64_t at = kBegin + 50 * kMs; at < kBegin + 5 * kSecond; at += 50 * kMs) {
            const SocketSample s = p.look(at);
            EXPECT_EQ(s.unread_bytes(), 100U);
            EXPECT_LE(silent_ns(s), 110 * kMs);
            p.kernel.arrive(100, at + 40 * kMs);
            p.kernel.read(100, at + 41 * kMs);
        }
    }
}

/// Nothing tells of it: the queue alone looks like one that nobody reads.
TEST(PolledSocket, WithTheQueueAloneSuchAReaderSeemsSilent)
{
    Polled p{KernelSocket(Tells::nothing)};
    p.kernel.arrive(100, kBegin + 10 * kMs);
    SocketSample s;
    for (std::uint64_t at = kBegin + 50 * kMs; at < kBegin + 2 * kSecond; at += 50 * kMs) {
        s = p.look(at);
        p.kernel.arrive(100, at + 40 * kMs);
        p.kernel.read(100, at + 41 * kMs);
    }
    EXPECT_GE(silent_ns(s), 1800 * kMs);
}

/// The segment came just before a look, and the kernel counts time in jiffies.
TEST(PolledSocket, DataThatTheLastLookHasSeenIsNoSignOfAReader)
{
    for (const Tells tells : {Tells::counters, Tells::times}) {
        Polled p{KernelSocket(tells)};
        SocketSample s;
        std::uint64_t at = kBegin + 50 * kMs + 700'000;
        for (int i = 0; i < 40; i++, at += 50 * kMs + 300'000) {
            p.kernel.arrive(100, at - 100'000);
            s = p.look(at);
            s = p.look(at + 5 * kMs);
        }
        EXPECT_EQ(s.last_read_ns, 0U);
        EXPECT_GE(silent_ns(s), 1900 * kMs);
        EXPECT_EQ(s.unread_bytes(), 4000U);
    }
}

TEST(PolledSocket, ArrivalsBetweenQueueAndCountersAreNoProgress)
{
    Polled p{KernelSocket(Tells::counters)};
    p.kernel.arrive(1000, kBegin + 10 * kMs);
    for (std::uint64_t at = kBegin + 50 * kMs; at < kBegin + kSecond; at += 50 * kMs) {
        SocketState state = p.kernel.state(at);
        p.kernel.arrive(500, at);  // after the queue was read
        state.info = p.kernel.state(at).info;
        p.socket.update(state, kWarnAfter, at);
        const SocketSample s = p.socket.sample();
        EXPECT_EQ(s.last_read_ns, 0U);
        EXPECT_EQ(s.unread_bytes(), state.recv_queue);
    }
}

TEST(PolledSocket, ReadsBetweenQueueAndCountersAreNotLost)
{
    Polled p{KernelSocket(Tells::counters)};
    p.kernel.arrive(1000, kBegin + 10 * kMs);
    SocketState state = p.kernel.state(kBegin + 50 * kMs);
    p.kernel.arrive(1000, kBegin + 50 * kMs);
    p.kernel.read(1500, kBegin + 50 * kMs);
    state.info = p.kernel.state(kBegin + 50 * kMs).info;
    p.socket.update(state, kWarnAfter, kBegin + 50 * kMs);
    EXPECT_EQ(p.socket.sample().unread_bytes(), 1000U);
    const SocketSample s = p.look(kBegin + 100 * kMs);
    EXPECT_EQ(s.unread_bytes(), 500U);
    EXPECT_GE(s.last_read_ns, kBegin + 100 * kMs);
}

TEST(PolledSocket, ACounterAheadOfTheFirstQueueLeavesNothingUnreadForEver)
{
    KernelSocket kernel(Tells::counters);
    kernel.arrive(1000, kBegin - 10 * kMs);
    SocketState first = kernel.state(kBegin);
    kernel.arrive(1500, kBegin);
    first.info = kernel.state(kBegin).info;
    PolledSocket socket(first, {}, 1, 42, kBegin);
    socket.update(kernel.state(kBegin + 50 * kMs), kWarnAfter, kBegin + 50 * kMs);
    EXPECT_EQ(socket.sample().unread_bytes(), 2500U);
    EXPECT_EQ(socket.sample().last_read_ns, 0U);
    kernel.read_all(kBegin + 60 * kMs);
    for (std::uint64_t at = kBegin + 100 * kMs; at < kBegin + kSecond; at += 50 * kMs) {
        socket.update(kernel.state(at), kWarnAfter, at);
        EXPECT_EQ(socket.sample().unread_bytes(), 0U);
        EXPECT_TRUE(socket.sample().unread.empty());
    }
}

TEST(PolledSocket, CountersPassFourGigabytes)
{
    for (const std::uint64_t first : {(1ULL << 32) - 1500, (1ULL << 31) - 1500, 1ULL << 40}) {
        Polled p{KernelSocket(Tells::counters, first)};
        for (std::uint64_t i = 1; i <= 20; i++) {
            const std::uint64_t at = kBegin + i * 50 * kMs;
            p.kernel.arrive(1000, at - 10 * kMs);
            EXPECT_EQ(p.look(at).unread_bytes(), 1000U) << first << " " << i;
            p.kernel.read_all(at + 10 * kMs);
            const SocketSample s = p.look(at + 20 * kMs);
            EXPECT_EQ(s.unread_bytes(), 0U);
            EXPECT_EQ(s.last_read_ns, at + 20 * kMs);
        }
    }
}

TEST(PolledSocket, WhatWasThereBeforeHasALowerBoundUntilItIsRead)
{
    for (const Tells tells : {Tells::counters, Tells::times, Tells::nothing}) {
        KernelSocket kernel(tells);
        kernel.arrive(1000, kBegin - 3 * kSecond);
        Polled p{kernel};
        SocketSample s = p.socket.sample();
        EXPECT_TRUE(s.age_is_lower_bound);
        EXPECT_EQ(s.unread_bytes(), 1000U);
        const std::uint64_t since_ns =
            tells == Tells::nothing ? kBegin : kBegin - 3 * kSecond;  // the newest is that old
        EXPECT_EQ(s.unread.front().at_ns, since_ns);
        p.kernel.arrive(500, kBegin + 10 * kMs);
        p.kernel.read(600, kBegin + 20 * kMs);
        s = p.look(kBegin + 50 * kMs);
        EXPECT_TRUE(s.age_is_lower_bound);
        EXPECT_EQ(s.unread_bytes(), 900U);
        p.kernel.read_all(kBegin + 60 * kMs);
        EXPECT_FALSE(p.look(kBegin + 100 * kMs).age_is_lower_bound);
    }
}

TEST(PolledSocket, ANewOneSaysSo)
{
    Polled p{KernelSocket(Tells::counters)};
    EXPECT_FALSE(p.socket.sample().is_new);
    p.socket.set_new();
    EXPECT_TRUE(p.socket.sample().is_new);
}

TEST(PolledSocket, AFinIsNoData)
{
    for (const Tells tells : {Tells::counters, Tells::times, Tells::nothing}) {
        Polled p{KernelSocket(tells)};
        p.kernel.arrive(1000, kBegin + 10 * kMs);
        (void)p.look(kBegin + 50 * kMs);
        p.kernel.fin();
        SocketSample s = p.look(kBegin + 100 * kMs);
        EXPECT_EQ(s.unread_bytes(), 1000U);
        EXPECT_EQ(s.last_read_ns, 0U);
        p.kernel.read_all(kBegin + 110 * kMs);
        s = p.look(kBegin + 150 * kMs);
        EXPECT_EQ(s.unread_bytes(), 0U);
        EXPECT_EQ(dw_recv_queue(&s.window), 1U);
        EXPECT_EQ(unread_bytes(p.socket.state()), 0U);
        EXPECT_TRUE(s.unread.empty());
        p.kernel.read_fin();
        s = p.look(kBegin + 200 * kMs);
        EXPECT_EQ(s.unread_bytes(), 0U);
        EXPECT_EQ(dw_recv_queue(&s.window), 0U);
    }
}

TEST(PolledSocket, AFinAtTheFirstLookIsNoData)
{
    KernelSocket kernel(Tells::counters);
    kernel.fin();
    const SocketSample s = Polled(kernel).socket.sample();
    EXPECT_EQ(s.unread_bytes(), 0U);
    EXPECT_TRUE(s.unread.empty());
    EXPECT_FALSE(s.age_is_lower_bound);
}

/// The kernel reads the state before the queue: the FIN came in between.
TEST(PolledSocket, AFinThatWasTakenForAByteIsTakenBack)
{
    for (const Tells tells : {Tells::counters, Tells::times, Tells::nothing}) {
        for (const std::uint32_t before : {0U, 1000U}) {
            Polled p{KernelSocket(tells)};
            if (before > 0) {
                p.kernel.arrive(before, kBegin + 10 * kMs);
            }
            p.kernel.fin();
            SocketState state = p.kernel.state(kBegin + 50 * kMs);
            state.state = DW_TCP_ESTABLISHED;
            p.socket.update(state, kWarnAfter, kBegin + 50 * kMs);
            SocketSample s = p.look(kBegin + 100 * kMs);
            EXPECT_EQ(s.unread_bytes(), before);
            EXPECT_EQ(s.unread.empty(), before == 0);
            p.kernel.read_all(kBegin + 110 * kMs);
            s = p.look(kBegin + 150 * kMs);
            EXPECT_EQ(s.unread_bytes(), 0U);
            EXPECT_TRUE(s.unread.empty());
        }
    }
}

TEST(PolledSocket, HabitsAreLearntFromReads)
{
    Polled p{KernelSocket(Tells::counters)};
    p.kernel.arrive(1000, kBegin + 10 * kMs);
    for (std::uint64_t at = 50; at < 300; at += 50) {
        (void)p.look(kBegin + at * kMs);
    }
    p.kernel.read_all(kBegin + 290 * kMs);
    const SocketSample s = p.look(kBegin + 300 * kMs);
    EXPECT_GE(s.habit_gap_ns, 238 * kMs);
    EXPECT_LE(s.habit_gap_ns, 250 * kMs);
    EXPECT_EQ(s.habit_depth_bytes, 1000U);
    p.kernel.arrive(1000, kBegin + 310 * kMs);
    (void)p.look(kBegin + 350 * kMs);
    (void)p.look(kBegin + 1950 * kMs);
    p.kernel.read_all(kBegin + 2 * kSecond);  // as long as an incident
    EXPECT_LE(p.look(kBegin + 2 * kSecond + kMs).habit_gap_ns, 250 * kMs);
}

/// The reader may have read just after the look that found something.
TEST(PolledSocket, TheDistanceOfTwoLooksIsNoHabitOfTheReader)
{
    Polled p{KernelSocket(Tells::counters)};
    p.kernel.arrive(1000, kBegin + 50 * kMs);
    (void)p.look(kBegin + 50 * kMs);
    p.kernel.read_all(kBegin + 51 * kMs);
    EXPECT_LE(p.look(kBegin + 100 * kMs).habit_gap_ns, 5 * kMs);
}

/// It has read between two looks, and data came: the first answer after that, which is held against
/// the counter of before, does not show it yet.
TEST(PolledSocket, AReadThatTheSecondAnswerShowsDidNotHappenAfterTheFirst)
{
    for (const Tells tells : {Tells::counters, Tells::times}) {
        Polled p{KernelSocket(tells)};
        p.kernel.arrive(1000, kBegin + 49 * kMs);
        (void)p.look(kBegin + 50 * kMs);
        p.kernel.read_all(kBegin + 52 * kMs);
        p.kernel.arrive(1000, kBegin + 90 * kMs);
        const SocketSample s = p.look(kBegin + 100 * kMs);
        EXPECT_EQ(s.last_read_ns, kBegin + 100 * kMs + 50'000);
        EXPECT_LE(s.habit_gap_ns, 5 * kMs);
    }
}

TEST(PolledWindow, IsClosedWhenTheKernelSaysSo)
{
    Polled p{KernelSocket(Tells::counters)};
    p.kernel.arrive(1000, kBegin + 10 * kMs);
    EXPECT_FALSE(p.look(kBegin + 50 * kMs).closed);
    p.kernel.window = 0;
    SocketSample s = p.look(kBegin + 100 * kMs);
    EXPECT_TRUE(s.closed);
    EXPECT_EQ(s.zero_count, 1U);
    EXPECT_EQ(s.zero_ns, kBegin + 100 * kMs);
    s = p.look(kBegin + 150 * kMs);
    EXPECT_EQ(s.zero_count, 1U);
    EXPECT_EQ(s.zero_ns, kBegin + 100 * kMs);
    p.kernel.window = 65536;
    p.kernel.read_all(kBegin + 160 * kMs);
    s = p.look(kBegin + 200 * kMs);
    EXPECT_FALSE(s.closed);
    EXPECT_EQ(s.reopened_ns, kBegin + 200 * kMs);
    p.kernel.window = 0;
    s = p.look(kBegin + 250 * kMs);
    EXPECT_EQ(s.zero_count, 2U);
}

TEST(PolledWindow, ThatWasClosedBeforeHasNoTime)
{
    KernelSocket kernel(Tells::counters);
    kernel.arrive(65536, kBegin - 10 * kSecond);
    kernel.window = 0;
    Polled p{kernel};
    const SocketSample s = p.look(kBegin + 50 * kMs);
    EXPECT_TRUE(s.closed);
    EXPECT_EQ(s.zero_count, 1U);
    EXPECT_EQ(s.zero_ns, 0U);
}

/// Before 6.2: the buffer is full, and the peer's segments bring nothing.
struct Probed : ::testing::Test {
    Polled p{KernelSocket(Tells::counters)};
    std::uint64_t at = kBegin;

    void SetUp() override { p.kernel.window.reset(); }

    SocketSample next()
    {
        at += 50 * kMs;
        return p.look(at);
    }

    /// So full that the kernel wants zero, with a window used up.
    void fill()
    {
        EXPECT_FALSE(next().closed);
        p.kernel.arrive(65536, at);
        p.kernel.memory.rmem = 131072;
        EXPECT_FALSE(next().closed) << "no probe yet";
    }
};

TEST_F(Probed, AWindowIsClosedWhenProbesBringNothing)
{
    fill();
    p.kernel.probe();
    SocketSample s = next();
    EXPECT_TRUE(s.closed);
    EXPECT_EQ(s.zero_count, 1U);
    EXPECT_TRUE(next().closed) << "between two probes";
    p.kernel.probe();
    EXPECT_EQ(next().zero_count, 1U);
    p.kernel.read_all(at);
    p.kernel.memory.rmem = 0;
    s = next();
    EXPECT_FALSE(s.closed);
    EXPECT_EQ(s.reopened_ns, at);
}

TEST_F(Probed, AcknowledgementsAreNoProbes)
{
    fill();
    p.kernel.probe();
    p.kernel.acked += 100;
    EXPECT_FALSE(next().closed);
}

TEST_F(Probed, RefusedDataIsNoProbe)
{
    fill();
    p.kernel.refuse();
    EXPECT_FALSE(next().closed);
}

TEST_F(Probed, NotWhileThereIsRoom)
{
    EXPECT_FALSE(next().closed);
    p.kernel.arrive(1000, at);
    p.kernel.memory.rmem = 2000;
    EXPECT_FALSE(next().closed);
    p.kernel.probe();
    EXPECT_FALSE(next().closed);
}

TEST(PolledWindow, FollowsTheSwitchesOfTheNamespace)
{
    struct Case {
        WindowRules rules;
        std::uint32_t rcvbuf;
        std::uint8_t flags;
    };
    WindowRules old;
    WindowRules with_ratio;
    with_ratio.may_have_scaling_ratio = true;
    WindowRules shrinking = with_ratio;
    shrinking.shrink_window = true;
    for (const Case& c :
         {Case{old, 131072, 0}, Case{old, 131071, DW_RCVBUF_LOCKED},
          Case{with_ratio, 131072, DW_SCALING_RATIO},
          Case{shrinking, 4096, DW_RCVBUF_LOCKED | DW_SCALING_RATIO | DW_SHRINK_WINDOW}}) {
        KernelSocket kernel(Tells::counters);
        kernel.memory.rcvbuf = c.rcvbuf;
        const dw_window w = Polled(kernel, c.rules).socket.sample().window;
        EXPECT_EQ(w.flags, c.flags);
        EXPECT_EQ(w.rmem_max, c.rules.rmem_max);
        EXPECT_EQ(dw_memory_limit(&w), c.flags & DW_RCVBUF_LOCKED ? c.rcvbuf : c.rules.rmem_max);
        EXPECT_EQ(dw_window_current(&w), 65536U);
        EXPECT_EQ(dw_window_next(&w) > 0, true);
    }
}

TEST(PolledWindow, WithoutScalingRatioTheSysctlDecides)
{
    KernelSocket kernel(Tells::counters);
    WindowRules rules;
    rules.adv_win_scale = -2;
    const dw_window w = Polled(kernel, rules).socket.sample().window;
    EXPECT_EQ(dw_window_allowed(&w), 131072 / 4);
}

/// A 6.1 that has the switch, and does not tell windows.
TEST(PolledWindow, HasNoScalingRatioWhereTheKernelTellsNoWindow)
{
    KernelSocket kernel(Tells::counters);
    kernel.window.reset();
    WindowRules rules;
    rules.may_have_scaling_ratio = true;
    const dw_window w = Polled(kernel, rules).socket.sample().window;
    EXPECT_FALSE(w.flags & DW_SCALING_RATIO);
    EXPECT_GT(dw_window_next(&w), 0U);
}

TEST(PolledWindow, RatioIsThatOfTheWindowOrOfTheSegmentsWhicheverIsMore)
{
    WindowRules rules;
    rules.may_have_scaling_ratio = true;
    struct Case {
        std::uint32_t window;
        std::uint32_t rcvbuf;
        int ratio;
    };
    for (const Case& c : {Case{65536, 131072, 256 * 1448 / (1448 + 832)},
                          Case{100'000, 131072, 256 * 100'000 / 131072}, Case{~0U, 4096, 255},
                          Case{0, 0, 256 * 1448 / (1448 + 832)}}) {
        KernelSocket kernel(Tells::counters);
        kernel.window = c.window;
        kernel.memory.rcvbuf = c.rcvbuf;
        EXPECT_EQ(Polled(kernel, rules).socket.sample().window.scaling_ratio, c.ratio);
    }
}

TEST(PolledWindow, ThatIsUnknownMakesNoForecast)
{
    Polled p{KernelSocket(Tells::nothing)};
    p.kernel.arrive(1 << 30, kBegin + 10 * kMs);
    const SocketSample s = p.look(kBegin + 50 * kMs);
    EXPECT_TRUE(s.window.flags & DW_WINDOW_UNKNOWN);
    EXPECT_FALSE(s.closed);
    EXPECT_EQ(s.unread_bytes(), 1U << 30);
}

}  // namespace
}  // namespace drainwatch::polled_socket_test
