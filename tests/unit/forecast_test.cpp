#include "state/forecast.hpp"

#include "link.hpp"

#include <gtest/gtest.h>

namespace drainwatch {
namespace {

using testing::kMs;
using testing::kSecond;

/// 128 KiB, half of it window: allowed 65536, floor 4096, which is 8192 of space.
dw_window half_of_128k()
{
    dw_window w{};
    w.rcv_nxt = w.copied_seq = w.rcv_wup = 5000;
    w.window_clamp = 65536;
    w.rcv_ssthresh = 65536;
    w.rcvbuf = 131072;
    w.rmem_max = 6291456;
    w.rcv_mss = 1460;
    w.rcv_wscale = 7;
    w.scaling_ratio = 128;
    w.flags = DW_SCALING_RATIO;
    return w;
}

TEST(HeadroomByWindow, EndsWhereTheLastAnnouncementEnds)
{
    struct Case {
        double cost;
        std::uint32_t ssthresh;
        double bytes;
    };
    // q more bytes leave (131072 - q * cost) / 2 of window; the right edge is q plus that.
    for (const Case& c : {
             Case{1, 65536, 126976},  // at the floor, q = 122880, it is farthest: 122880 + 4096
             Case{2, 65536, 65536},   // q + free is the same all the way
             Case{4, 65536, 65536},   // at the start it is farthest; the floor gives 30720 + 4096
             Case{4, 20000, 42768},   // where the free space meets 20000, q = 22768
             Case{4, 4000, 34720},    // it would meet 4000 only behind the floor: 30720 + 4000
         }) {
        dw_window w = half_of_128k();
        w.rcv_ssthresh = c.ssthresh;
        EXPECT_DOUBLE_EQ(headroom(w, c.cost).window_bytes, c.bytes)
            << "cost " << c.cost << " ssthresh " << c.ssthresh;
    }
}

TEST(HeadroomByWindow, NeverBelowWhatIsAnnounced)
{
    dw_window w = half_of_128k();
    w.rcv_wnd = 80000;
    EXPECT_DOUBLE_EQ(headroom(w, 4).window_bytes, 80000);
    w.rmem = 131072;  // wants zero, but the peer may still send
    EXPECT_DOUBLE_EQ(headroom(w, 4).window_bytes, 80000);
    w.rcv_wnd = 0;
    EXPECT_DOUBLE_EQ(headroom(w, 4).window_bytes, 0);
}

TEST(HeadroomByWindow, EndsAtTheFloorWhereWindowsMayShrink)
{
    dw_window w = half_of_128k();
    w.flags |= DW_SHRINK_WINDOW;
    w.rcv_wnd = 80000;
    EXPECT_DOUBLE_EQ(headroom(w, 4).window_bytes, 30720);  // (131072 - 8192) / 4
    w.rmem = 131072 - 8192;
    EXPECT_DOUBLE_EQ(headroom(w, 4).window_bytes, 0);
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
        dw_window w = half_of_128k();
        w.flags = 0;
        w.adv_win_scale = static_cast<std::int8_t>(c.scale);
        w.window_clamp = 1U << 30;
        w.rcv_ssthresh = c.ssthresh;
        EXPECT_DOUBLE_EQ(headroom(w, 1).window_bytes, c.bytes) << "adv_win_scale " << c.scale;
    }
}

TEST(HeadroomByMemory, IsTheRestOfTheLimitByCost)
{
    dw_window w = half_of_128k();
    w.rmem = 31072;
    EXPECT_DOUBLE_EQ(headroom(w, 4).memory_bytes, (6291456 - 31072) / 4.0);
    w.flags |= DW_RCVBUF_LOCKED;
    EXPECT_DOUBLE_EQ(headroom(w, 4).memory_bytes, 25000);
    EXPECT_DOUBLE_EQ(headroom(w, 0.5).memory_bytes, 100000);  // a byte costs a byte at least
    w.rmem = 131073;
    EXPECT_DOUBLE_EQ(headroom(w, 4).memory_bytes, 0);
    w.rmem = -5;  // the kernel's counter may dip below zero for an instant
    EXPECT_DOUBLE_EQ(headroom(w, 4).memory_bytes, 32768);
}

TEST(Headroom, IsTheNearerOfTheTwo)
{
    EXPECT_DOUBLE_EQ((Headroom{100, 200}.to_zero()), 100);
    EXPECT_DOUBLE_EQ((Headroom{300, 200}.to_zero()), 200);
}

TEST(Headroom, OneByteSegmentsRunOutOfMemoryFirst)
{
    // Measured: 833 bytes of memory for one of payload, and a window that stays open.
    dw_window w = half_of_128k();
    w.flags |= DW_RCVBUF_LOCKED;
    w.rcv_wnd = 65536;
    const Headroom h = headroom(w, 833);
    EXPECT_DOUBLE_EQ(h.window_bytes, 65536);
    EXPECT_NEAR(h.to_zero(), 157.35, 0.01);  // 131072 / 833
}

TEST(MemoryPerByte, IsWhatTheQueueCostsNow)
{
    struct Case {
        std::uint32_t unread;
        int rmem;
        double cost;
    };
    for (const Case& c : {Case{1000, 1832, 1.832}, Case{1, 833, 833}, Case{1000, 0, 1},
                          Case{1000, 500, 1}, Case{0, 1832, 1}, Case{1000, -7, 1}}) {
        testing::Link link;
        if (c.unread != 0) {
            link.arrive(c.unread, 1 * kSecond);
        }
        link.raw().window.rmem = c.rmem;
        EXPECT_DOUBLE_EQ(memory_per_byte(link.sample(2 * kSecond)), c.cost)
            << c.rmem << " for " << c.unread;
    }
}

/// 100 bytes at 1.0 s, 1.1 s and 1.2 s.
testing::Link three_arrivals()
{
    testing::Link link;
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
    testing::Link link;
    link.arrive(100, 1 * kSecond);
    EXPECT_DOUBLE_EQ(arrival_rate(link.sample(1200 * kMs), 1 * kSecond).value(), 500);
}

TEST(ArrivalRate, OfOneBurstIsCountedUntilNow)
{
    testing::Link link;
    link.arrive(100, 1 * kSecond);
    link.arrive(100, 1 * kSecond);
    EXPECT_DOUBLE_EQ(arrival_rate(link.sample(1200 * kMs), 1 * kSecond).value(), 1000);
}

TEST(ArrivalRate, IsUnknownIfNothingCame)
{
    const auto link = three_arrivals();
    EXPECT_FALSE(arrival_rate(link.sample(1250 * kMs), 1201 * kMs));
    EXPECT_FALSE(arrival_rate(link.sample(1200 * kMs), 1200 * kMs));
    EXPECT_FALSE(arrival_rate(testing::Link().sample(1 * kSecond), 0));
}

TEST(ArrivalRate, AfterAPartialReadCountsWhatIsLeft)
{
    auto link = three_arrivals();
    link.read(150, 1210 * kMs);  // 50 of the second arrival are left
    EXPECT_DOUBLE_EQ(arrival_rate(link.sample(1300 * kMs), 1050 * kMs).value(), 600);
}

TEST(ArrivalRate, AcrossTheWrapOfSequenceNumbers)
{
    testing::Link link;
    auto& raw = link.raw();
    raw.window.copied_seq = raw.window.rcv_nxt = raw.data_end = 0xffffff9c;  // 100 before the wrap
    for (const std::uint64_t at_ms : {1000, 1100, 1200}) {
        link.arrive(100, at_ms * kMs);
    }
    EXPECT_DOUBLE_EQ(arrival_rate(link.sample(1250 * kMs), 1 * kSecond).value(), 1000);
    EXPECT_DOUBLE_EQ(arrival_rate(link.sample(1250 * kMs), 1050 * kMs).value(), 1000);
}

}  // namespace
}  // namespace drainwatch
