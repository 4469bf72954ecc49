#include "state/forecast.hpp"

#include "link.hpp"

#include <gtest/gtest.h>
#include <cmath>

namespace drainwatch::forecast_test {
namespace {

using test::kMs;
using test::kSecond;

/// 128 KiB, half of it window: allowed 65536, floor 4096, which is 8192 of space.
SocketSample half_of_128k(std::uint32_t unread, int rmem)
{
    test::Link link;
    if (unread != 0) {
        link.arrive(unread, 1 * kSecond);
    }
    dw_window& w = link.raw().window;
    w.rcv_wup = w.rcv_nxt;
    w.rcv_wnd = 0;
    w.window_clamp = 1U << 30;
    w.rcv_ssthresh = 65536;
    w.rcvbuf = 131072;
    w.rmem = rmem;
    w.rmem_max = 6291456;
    w.flags = DW_SCALING_RATIO;
    return link.sample(2 * kSecond);
}

/// The same where all of it is window (tcp_adv_win_scale 0): allowed 131072, floor 8192.
SocketSample all_of_128k(std::uint32_t unread, int rmem)
{
    SocketSample s = half_of_128k(unread, rmem);
    s.window.flags = 0;
    s.window.adv_win_scale = 0;
    return s;
}

/// To a segment: that is how far the simulation goes at a time.
void expect_bytes(double measured, double wanted)
{
    EXPECT_NEAR(measured, wanted, 1460) << "instead of " << wanted;
}

TEST(HeadroomByWindow, EndsAtTheFloorWhileTheEdgeMovesOn)
{
    // q more bytes leave (131072 - q) / 2 of window. The right edge, q plus that, is farthest at
    // the floor: q = 122880.
    expect_bytes(headroom(half_of_128k(0, 0)).window_bytes, 122880 + 4096);
    // 8000 bytes cost 10,000, so each costs 1.25: the floor is (121072 - 8192) / 1.25 bytes away
    expect_bytes(headroom(half_of_128k(8000, 10'000)).window_bytes, 90304 + 4096);
}

TEST(HeadroomByWindow, EndsWhereTheEdgeIsFarthest)
{
    struct Case {
        std::uint32_t ssthresh;
        double bytes;
    };
    // Where a byte costs 1.25 of window, the edge moves back as the queue grows.
    for (const Case& c : {
             Case{131072, 121088},   // 946 * 128, the window that is announced now
             Case{20000, 100857.6},  // where the free space meets 20000, after 80857.6 bytes
             Case{4000, 94304},      // it meets 4000 behind the floor only: 90304 + 4000
         }) {
        SocketSample s = all_of_128k(8000, 10'000);
        s.window.rcv_ssthresh = c.ssthresh;
        expect_bytes(headroom(s).window_bytes, c.bytes);
    }
}

TEST(HeadroomByWindow, NeverBelowWhatIsAnnounced)
{
    SocketSample s = half_of_128k(100'000, 125'000);  // below the floor: wants zero
    s.window.rcv_wnd = 80'000;                        // but the peer may still send
    expect_bytes(headroom(s).window_bytes, 80'000);
    s.window.rcv_wnd = 0;
    expect_bytes(headroom(s).window_bytes, 0);
}

TEST(HeadroomByWindow, EndsAtTheFloorWhereWindowsMayShrink)
{
    SocketSample s = half_of_128k(8000, 10'000);
    s.window.flags |= DW_SHRINK_WINDOW;
    s.window.rcv_wnd = 80'000;
    expect_bytes(headroom(s).window_bytes, 90304);
    s = half_of_128k(100'000, 122'880);
    s.window.flags |= DW_SHRINK_WINDOW;
    s.window.rcv_wnd = 80'000;
    expect_bytes(headroom(s).window_bytes, 0);
}

TEST(HeadroomByWindow, OnKernelsBefore6_5)
{
    struct Case {
        int scale;
        std::uint32_t ssthresh;
        double bytes;
    };
    // The whole buffer is slow start's limit, so the floor decides: 122880 bytes of space to it.
    for (const Case& c : {Case{1, 65536, 122880 + 4096}, Case{2, 98304, 122880 + 6144},
                          Case{0, 131072, 122880 + 8192}, Case{-2, 32768, 122880 + 2048}}) {
        SocketSample s = half_of_128k(0, 0);
        s.window.flags = 0;
        s.window.adv_win_scale = static_cast<std::int8_t>(c.scale);
        s.window.rcv_ssthresh = c.ssthresh;
        expect_bytes(headroom(s).window_bytes, c.bytes);
    }
}

/// 64 KiB of window left, of which the kernel wants to announce nothing more; segments of 150
/// bytes.
SocketSample used_up(std::uint8_t wscale)
{
    SocketSample s = half_of_128k(100'000, 125'000);
    s.window.flags |= DW_RCVBUF_LOCKED;
    s.window.rcv_wnd = 65536;
    s.window.rcv_wscale = wscale;
    s.window.rcv_mss = 150;
    s.window.rmem = 10'000;
    s.window.rcv_ssthresh = 0;
    return s;
}

TEST(HeadroomByWindow, WhatAnAckRoundsUpIsGivenBack)
{
    // An ACK in 40 ms: at 300 bytes a second for one segment, at 240 a second for ten of them.
    const double slow = 300;
    const double fast = 240 * 150;
    EXPECT_NEAR(headroom(used_up(7), {slow, 1.0}).window_bytes, 65536 * 150.0 / 128, 500);
    EXPECT_NEAR(headroom(used_up(10), {fast, 1.0}).window_bytes, 65536 * 1500.0 / 1024, 500);
    EXPECT_NEAR(headroom(used_up(0), {fast, 1.0}).window_bytes, 65536, 500)
        << "no scale, no rounding";
    EXPECT_NEAR(headroom(used_up(10), {0, 1.0}).window_bytes, 65536, 500) << "no inflow known";
}

TEST(HeadroomByWindow, NeverEndsWhereEachAckIsForLessThanTheScalesUnit)
{
    EXPECT_TRUE(std::isinf(headroom(used_up(10), {300, 1.0}).window_bytes));
    EXPECT_FALSE(std::isinf(headroom(used_up(10), {300, 1.0}).to_zero())) << "memory ends it";
}

TEST(HeadroomByWindow, GoesOnBehindACollapse)
{
    // Segments that cost four bytes a byte fill a locked buffer of 128 KiB with 32 KiB; collapsed,
    // they take less than a third of it.
    SocketSample s = half_of_128k(8000, 32'000);
    s.window.flags |= DW_RCVBUF_LOCKED;
    s.window.rcv_mss = 100;
    s.window.rcv_wnd = 50'000;
    EXPECT_GT(headroom(s, {0, 4.0}).window_bytes, 50'000);
    s.window.flags &= static_cast<std::uint8_t>(~DW_RCVBUF_LOCKED);
    s.window.rmem_max = s.window.rcvbuf;
    EXPECT_GT(headroom(s, {0, 4.0}).window_bytes, 50'000);
}

TEST(Headroom, EndsWithAProbeUnlessWholeSegmentsUseItUp)
{
    SocketSample s = half_of_128k(0, 0);
    s.window.rcv_mss = 100;
    EXPECT_TRUE(headroom(s).ends_with_probe) << "a scaled window";
    s.window.rcv_wscale = 0;
    s.window.rcv_wnd = 5000;
    EXPECT_FALSE(headroom(s).ends_with_probe);
    s.window.rcv_wnd = 5050;
    EXPECT_TRUE(headroom(s).ends_with_probe);
    s.window.rcv_mss = 1;
    EXPECT_FALSE(headroom(s).ends_with_probe);
    s.window.rcv_mss = 536;
    s.unread = {{s.data_end - 101, 1}, {s.data_end, 2}};
    EXPECT_FALSE(headroom(s).ends_with_probe) << "messages of 101 bytes";
    EXPECT_FALSE(headroom(s, {9 * 101 / 0.04, {}}).ends_with_probe);
    EXPECT_TRUE(headroom(s, {11 * 101 / 0.04, {}}).ends_with_probe) << "held by its window";
}

TEST(HeadroomByMemory, IsTheRestOfTheLimitByTheCostOfAByte)
{
    struct Case {
        std::uint32_t unread;
        int rmem;
        double bytes;
    };
    for (const Case& c : {
             Case{8000, 8800, 122'272 / 1.1},
             Case{8000, 5000, 126'072},  // a byte costs a byte at least
             Case{0, 5000, 131'072},     // out-of-order data: can be dropped
             Case{8000, -5, 131'072},    // the counter may dip below zero for an instant
             Case{120'000, 131'072, 0}, Case{120'000, 131'073, 0},
             Case{8000, 100'000, 131'072 / 1.17 - 8000},  // small segments: will be collapsed
         }) {
        SocketSample s = half_of_128k(c.unread, c.rmem);
        s.window.flags |= DW_RCVBUF_LOCKED;
        EXPECT_NEAR(headroom(s).memory_bytes, c.bytes, 0.001) << c.rmem << " for " << c.unread;
    }
}

TEST(HeadroomByMemory, GoesAsFarAsAutotuningMay)
{
    EXPECT_DOUBLE_EQ(headroom(half_of_128k(8000, 10'000)).memory_bytes,
                     (6291456 - 8000 * 1.17) / 1.17);
}

TEST(Headroom, IsTheNearerOfTheTwo)
{
    EXPECT_DOUBLE_EQ((Headroom{100, 200}.to_zero()), 100);
    EXPECT_DOUBLE_EQ((Headroom{300, 200}.to_zero()), 200);
}

/// 100 bytes at 1.0 s, 1.1 s and 1.2 s.
test::Link three_arrivals()
{
    test::Link link;
    for (const std::uint64_t at_ms : {1000, 1100, 1200}) {
        link.arrive(100, at_ms * kMs);
    }
    return link;
}

TEST(ArrivalRate, FromTheFirstArrivalCountsWholeIntervals)
{
    // 200 bytes came in the 200 ms before the last arrival; that one begins the next interval.
    const auto link = three_arrivals();
    EXPECT_DOUBLE_EQ(arrival_rate(link.sample(1250 * kMs), 1 * kSecond).value(), 1000);
    EXPECT_DOUBLE_EQ(arrival_rate(link.sample(1400 * kMs), 1 * kSecond).value(), 1000);
}

TEST(ArrivalRate, APauseCounts)
{
    const auto link = three_arrivals();
    EXPECT_DOUBLE_EQ(arrival_rate(link.sample(1500 * kMs), 1 * kSecond).value(), 600);
    EXPECT_DOUBLE_EQ(arrival_rate(link.sample(4 * kSecond), 1 * kSecond).value(), 100);
}

TEST(ArrivalRate, OverAnIntervalThatBeginsBetweenArrivals)
{
    const auto link = three_arrivals();
    EXPECT_DOUBLE_EQ(arrival_rate(link.sample(1250 * kMs), 1050 * kMs).value(), 1000);
    EXPECT_DOUBLE_EQ(arrival_rate(link.sample(1250 * kMs), 1150 * kMs).value(), 1000);
    EXPECT_DOUBLE_EQ(arrival_rate(link.sample(1250 * kMs), 500 * kMs).value(), 400);
}

TEST(ArrivalRate, OfASingleArrival)
{
    test::Link link;
    link.arrive(100, 1 * kSecond);
    EXPECT_DOUBLE_EQ(arrival_rate(link.sample(1200 * kMs), 1 * kSecond).value(), 500);
}

TEST(ArrivalRate, OfOneBurstIsCountedUntilNow)
{
    test::Link link;
    link.arrive(100, 1 * kSecond);
    link.arrive(100, 1 * kSecond);
    EXPECT_DOUBLE_EQ(arrival_rate(link.sample(1200 * kMs), 1 * kSecond).value(), 1000);
}

TEST(ArrivalRate, IsUnknownIfNothingCame)
{
    const auto link = three_arrivals();
    EXPECT_FALSE(arrival_rate(link.sample(1250 * kMs), 1201 * kMs));
    EXPECT_FALSE(arrival_rate(link.sample(1200 * kMs), 1200 * kMs));
    EXPECT_FALSE(arrival_rate(test::Link().sample(1 * kSecond), 0));
}

TEST(ArrivalRate, AfterAPartialReadCountsWhatIsLeft)
{
    auto link = three_arrivals();
    link.read(150, 1210 * kMs);  // 50 of the second arrival are left
    EXPECT_DOUBLE_EQ(arrival_rate(link.sample(1300 * kMs), 1050 * kMs).value(), 600);
}

TEST(ArrivalRate, WhatWasThereBeforeTheWatchHasNone)
{
    auto link = three_arrivals();  // the first of them was seen to be there, not to arrive
    link.raw().age_is_lower_bound = true;
    EXPECT_DOUBLE_EQ(arrival_rate(link.sample(1250 * kMs), 1 * kSecond).value(), 1000);
    link.raw().unread.front().end_seq -= 50;  // 50 bytes of unknown age, then 150 and 100
    EXPECT_DOUBLE_EQ(arrival_rate(link.sample(1250 * kMs), 1 * kSecond).value(), 1250);
    EXPECT_DOUBLE_EQ(arrival_rate(link.sample(1500 * kMs), 1 * kSecond).value(), 500) << "a pause";
    link.raw().unread.resize(1);
    EXPECT_FALSE(arrival_rate(link.sample(1250 * kMs), 1 * kSecond));
}

TEST(ArrivalRate, AcrossTheWrapOfSequenceNumbers)
{
    test::Link link;
    auto& raw = link.raw();
    raw.window.copied_seq = raw.window.rcv_nxt = raw.data_end = 0xffffff9c;  // 100 before the wrap
    for (const std::uint64_t at_ms : {1000, 1100, 1200}) {
        link.arrive(100, at_ms * kMs);
    }
    EXPECT_DOUBLE_EQ(arrival_rate(link.sample(1250 * kMs), 1 * kSecond).value(), 1000);
    EXPECT_DOUBLE_EQ(arrival_rate(link.sample(1250 * kMs), 1050 * kMs).value(), 1000);
}

}  // namespace
}  // namespace drainwatch::forecast_test
