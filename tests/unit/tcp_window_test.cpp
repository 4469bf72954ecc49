#include "drainwatch/tcp_window.h"

#include <gtest/gtest.h>
#include <algorithm>
#include <random>

namespace tcp_window_test {
namespace {

/// Half of 128 KiB is window: allowed 65536, floor 4096, and the queue is empty.
dw_window half_of_128k()
{
    dw_window w{};
    w.rcv_nxt = 5000;
    w.copied_seq = 5000;
    w.rcv_wup = 5000;
    w.rcv_wnd = 0;
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

/// Announced so that `left` bytes may still come.
void announce(dw_window& w, std::uint32_t left)
{
    w.rcv_wup = w.rcv_nxt;
    w.rcv_wnd = left;
}

TEST(SequenceNumbers, AreComparedAcrossTheWrap)
{
    EXPECT_TRUE(dw_seq_before(1, 2));
    EXPECT_FALSE(dw_seq_before(2, 2));
    EXPECT_FALSE(dw_seq_before(2, 1));
    EXPECT_TRUE(dw_seq_before(0xffffffff, 0));
    EXPECT_TRUE(dw_seq_before(0xfffffff0, 0x10));
    EXPECT_FALSE(dw_seq_before(0x10, 0xfffffff0));
    EXPECT_TRUE(dw_seq_before(0, 0x7fffffff));
}

TEST(ReceiveQueue, IsTheDistanceFromTheHeadToTheNextByte)
{
    struct Case {
        std::uint32_t rcv_nxt, copied_seq, queued;
    };
    for (const Case& c :
         {Case{5000, 5000, 0}, Case{5001, 5000, 1},  // the latter: an unread FIN
          Case{5000, 1000, 4000}, Case{100, 0xffffff9c, 200}, Case{0, 0xffffffff, 1}}) {
        dw_window w{};
        w.rcv_nxt = c.rcv_nxt;
        w.copied_seq = c.copied_seq;
        EXPECT_EQ(dw_recv_queue(&w), c.queued) << c.rcv_nxt << " - " << c.copied_seq;
    }
}

TEST(ReceiveQueue, IsEmptyWhenTheHeadWasReadAnInstantLater)
{
    dw_window w{};
    w.rcv_nxt = 5000;
    w.copied_seq = 5100;
    EXPECT_EQ(dw_recv_queue(&w), 0U);
    w.rcv_nxt = 0xffffffff;
    w.copied_seq = 4;
    EXPECT_EQ(dw_recv_queue(&w), 0U);
}

TEST(WindowFromSpace, ByScalingRatio)
{
    struct Case {
        int ratio;
        std::int64_t space, window;
    };
    // 1000 * 77 / 256 = 300.8; rounded down, below zero too
    for (const Case& c : {Case{128, 1000, 500}, Case{77, 1000, 300}, Case{77, -1000, -301},
                          Case{255, 131072, 130560}, Case{0, 131072, 0}, Case{128, 0, 0},
                          Case{255, 2147483647, 2139095039}}) {
        dw_window w{};
        w.flags = DW_SCALING_RATIO;
        w.scaling_ratio = static_cast<std::uint8_t>(c.ratio);
        w.adv_win_scale = 1;  // must not count
        EXPECT_EQ(dw_win_from_space(&w, c.space), c.window) << c.ratio << " of " << c.space;
    }
}

TEST(WindowFromSpace, ByAdvWinScaleOnKernelsBefore6_5)
{
    struct Case {
        int scale;
        std::int64_t space, window;
    };
    for (const Case& c :
         {Case{1, 131072, 65536}, Case{1, 131071, 65536}, Case{1, -8928, -4464}, Case{2, 1000, 750},
          Case{2, 1003, 753}, Case{31, 1000, 1000}, Case{0, 1000, 1000}, Case{0, -1000, -1000},
          Case{-1, 1001, 500}, Case{-2, 1000, 250}, Case{-2, -1000, -250}}) {
        dw_window w{};
        w.scaling_ratio = 128;  // must not count
        w.adv_win_scale = static_cast<std::int8_t>(c.scale);
        EXPECT_EQ(dw_win_from_space(&w, c.space), c.window) << c.scale << " of " << c.space;
    }
}

TEST(CurrentWindow, IsWhatThePeerMayStillSend)
{
    struct Case {
        std::uint32_t wup, wnd, nxt, left;
    };
    for (const Case& c :
         {Case{5000, 65536, 5000, 65536}, Case{5000, 65536, 6000, 64536}, Case{5000, 1000, 6000, 0},
          Case{5000, 1000, 6001, 0},  // one byte beyond: the peer ignored the window
          Case{5000, 0, 5000, 0}, Case{0xfffff000, 0x2000, 0x800, 0x800},
          Case{0xfffff000, 0x2000, 0x1000, 0}, Case{0xfffff000, 0x2000, 0x1001, 0}}) {
        dw_window w{};
        w.rcv_wup = c.wup;
        w.rcv_wnd = c.wnd;
        w.rcv_nxt = c.nxt;
        EXPECT_EQ(dw_window_current(&w), c.left) << c.wup << " + " << c.wnd << " - " << c.nxt;
    }
}

TEST(WindowFloor, IsOneSixteenthOrOneSegment)
{
    dw_window w = half_of_128k();
    EXPECT_EQ(dw_window_allowed(&w), 65536);
    EXPECT_EQ(dw_window_floor(&w), 4096);
    w.rcv_mss = 5000;
    EXPECT_EQ(dw_window_floor(&w), 5000);
    w.window_clamp = 4500;  // no segment is larger than the clamp
    EXPECT_EQ(dw_window_floor(&w), 4500);
    w.window_clamp = 65536;
    w.rcvbuf = 4000;  // nor than the whole window: 2000
    EXPECT_EQ(dw_window_floor(&w), 2000);
}

TEST(SelectedWindow, ByMemoryInUse)
{
    struct Case {
        int rmem;
        std::uint32_t selected;
    };
    for (const Case& c : {
             Case{0, 65536},
             Case{65536, 32768},  // half is free: not rounded down
             Case{65538, 32640},  // 32767 free: rounded down to 255 * 128
             Case{122880, 4096},  // exactly one sixteenth
             Case{122882, 0},     // 4095: rounded down to 3968, below one sixteenth
             Case{131072, 0},     // full
             Case{140000, 0},     // beyond
             Case{2147483647, 0},
         }) {
        dw_window w = half_of_128k();
        w.rmem = c.rmem;
        EXPECT_EQ(dw_window_selected(&w), c.selected) << "rmem " << c.rmem;
        // What waits in the backlog counts just as well.
        w.rmem = c.rmem / 2;
        w.backlog = c.rmem - c.rmem / 2;
        EXPECT_EQ(dw_window_selected(&w), c.selected) << "rmem and backlog " << c.rmem;
    }
}

TEST(SelectedWindow, NeedsRoomForOneSegment)
{
    dw_window w = half_of_128k();
    w.rcv_mss = 5000;
    w.rmem = 120832;  // 5120 free
    EXPECT_EQ(dw_window_selected(&w), 5120U);
    w.rmem = 120834;  // 5119 free, 4992 after rounding
    EXPECT_EQ(dw_window_selected(&w), 0U);
}

TEST(SelectedWindow, IsCappedBySlowStartAndRoundedUp)
{
    dw_window w = half_of_128k();
    w.rcv_ssthresh = 50000;
    EXPECT_EQ(dw_window_selected(&w), 50048U);  // 391 * 128
    w.rcv_ssthresh = 1;
    EXPECT_EQ(dw_window_selected(&w), 128U);
    w.rcv_wscale = 14;
    EXPECT_EQ(dw_window_selected(&w), 16384U);
}

TEST(SelectedWindow, ClampDecidesWhatHalfIsButNotWhatASixteenthIs)
{
    dw_window w = half_of_128k();
    w.window_clamp = 10000;  // half of it: 5000
    w.rmem = 120832;         // 5120 free: no rounding, no floor
    EXPECT_EQ(dw_window_selected(&w), 5120U);
    w.rmem = 121200;  // 4936 free: rounded down to 4864, above 4096
    EXPECT_EQ(dw_window_selected(&w), 4864U);
    w.rmem = 123000;  // 4036 free
    EXPECT_EQ(dw_window_selected(&w), 0U);
}

TEST(SelectedWindow, IsZeroWithoutAnyBuffer)
{
    dw_window w = half_of_128k();
    w.rcvbuf = 0;
    EXPECT_EQ(dw_window_selected(&w), 0U);
    w = half_of_128k();
    w.window_clamp = 0;
    EXPECT_EQ(dw_window_selected(&w), 0U);
}

TEST(SelectedWindow, UnscaledIsAMultipleOfTheSegment)
{
    dw_window w = half_of_128k();
    w.rcv_wscale = 0;
    w.rcv_ssthresh = 65535;
    struct Case {
        std::uint32_t announced, selected;
    };
    for (const Case& c : {
             Case{20000, 64240},  // 44 * 1460, largest multiple below 65535
             Case{64075, 64240},  // one segment below the free space: still renewed
             Case{64076, 64076},  // closer than that: kept
             Case{65535, 65535},  // all of it: kept
             Case{65536, 64240},  // more than is free
         }) {
        w.rcv_wnd = c.announced;
        EXPECT_EQ(dw_window_selected(&w), c.selected) << "announced " << c.announced;
    }
}

TEST(SelectedWindow, UnscaledWithSegmentsAsLargeAsTheWindow)
{
    dw_window w = half_of_128k();
    w.rcv_wscale = 0;
    w.window_clamp = 1000;  // and so is the segment
    w.rcv_ssthresh = 1400;
    struct Case {
        std::uint32_t announced, selected;
    };
    for (const Case& c : {Case{400, 1000}, Case{401, 1400}, Case{899, 1400}, Case{900, 900},
                          Case{1400, 1400}, Case{1401, 1000}}) {
        w.rcv_wnd = c.announced;
        EXPECT_EQ(dw_window_selected(&w), c.selected) << "announced " << c.announced;
    }
}

TEST(SelectedWindow, MayShrinkRoundsDownNotUp)
{
    // The branch of __tcp_select_window() for tcp_shrink_window=1, since 6.5: the free space is
    // rounded down to the scale, and only the slow start threshold is rounded up.
    dw_window w = half_of_128k();
    w.flags |= DW_SHRINK_WINDOW;
    w.rmem = 20002;  // 55535 free = 433.9 * 128
    EXPECT_EQ(dw_window_selected(&w), 55424U);
    w.rcv_ssthresh = 50000;
    EXPECT_EQ(dw_window_selected(&w), 50048U);
    w.rcv_wscale = 0;  // the branch is for scaled windows: 34 * 1460
    EXPECT_EQ(dw_window_selected(&w), 49640U);
}

/// The formula of the kernel (6.18, tcp_shrink_window=0) in so many words.
std::int64_t selected_in_words(const dw_window& w)
{
    const auto window_of = [&](std::int64_t space) -> std::int64_t {
        if (w.flags & DW_SCALING_RATIO) {
            const std::int64_t product = space * w.scaling_ratio;
            std::int64_t quotient = product / 256;
            if (product % 256 < 0) {
                quotient--;
            }
            return quotient;
        }
        return w.adv_win_scale <= 0 ? space >> -w.adv_win_scale
                                    : space - (space >> w.adv_win_scale);
    };
    const std::int64_t unit = std::int64_t{1} << w.rcv_wscale;
    std::int64_t free = window_of(std::int64_t{w.rcvbuf} - w.rmem - w.backlog);
    const std::int64_t allowed = window_of(w.rcvbuf);
    const std::int64_t full = std::min<std::int64_t>(allowed, w.window_clamp);
    std::int64_t mss = w.rcv_mss;
    if (mss > full) {
        mss = full;
        if (mss <= 0) {
            return 0;
        }
    }
    if (free < full / 2) {
        std::int64_t rest = free % unit;
        if (rest < 0) {
            rest += unit;
        }
        free -= rest;
        if (free < allowed / 16 || free < mss) {
            return 0;
        }
    }
    free = std::min<std::int64_t>(free, w.rcv_ssthresh);
    if (w.rcv_wscale != 0) {
        return (free + unit - 1) / unit * unit;
    }
    const std::int64_t announced = w.rcv_wnd;
    if (announced <= free - mss || announced > free) {
        return free / mss * mss;
    }
    if (mss == full && free > announced + full / 2) {
        return free;
    }
    return announced;
}

TEST(SelectedWindow, AgreesWithTheFormulaInWordsOnRandomSockets)
{
    std::mt19937 random(20261123);
    const auto up_to = [&](std::uint32_t most) {
        return std::uniform_int_distribution<std::uint32_t>(0, most)(random);
    };
    int zeros = 0;
    int unscaled = 0;
    for (int i = 0; i < 300'000; i++) {
        dw_window w{};
        w.rcvbuf = static_cast<int>(up_to(1U << (8 + up_to(16))));
        w.rmem = static_cast<int>(up_to(static_cast<std::uint32_t>(w.rcvbuf) * 5 / 4));
        w.backlog = up_to(3) == 0 ? static_cast<int>(up_to(100'000)) : 0;
        w.window_clamp = up_to(1) != 0 ? 0x3fffffff : up_to(1U << 20);
        w.rcv_ssthresh = up_to(1U << (4 + up_to(18)));
        w.rcv_wnd = up_to(1U << (4 + up_to(18)));
        w.rcv_mss = static_cast<std::uint16_t>(1 + up_to(up_to(1) != 0 ? 1460 : 65534));
        w.rcv_wscale = static_cast<std::uint8_t>(up_to(2) == 0 ? 0 : up_to(14));
        w.scaling_ratio = static_cast<std::uint8_t>(up_to(255));
        w.adv_win_scale = static_cast<std::int8_t>(static_cast<int>(up_to(8)) - 4);
        w.flags = up_to(1) != 0 ? DW_SCALING_RATIO : 0;
        const std::int64_t expected = selected_in_words(w);
        zeros += expected == 0;
        unscaled += w.rcv_wscale == 0 && expected != 0;
        ASSERT_EQ(dw_window_selected(&w), expected)
            << "rcvbuf " << w.rcvbuf << " rmem " << w.rmem << " backlog " << w.backlog << " clamp "
            << w.window_clamp << " ssthresh " << w.rcv_ssthresh << " wnd " << w.rcv_wnd << " mss "
            << w.rcv_mss << " wscale " << int{w.rcv_wscale} << " ratio " << int{w.scaling_ratio}
            << " adv " << int{w.adv_win_scale} << " flags " << int{w.flags};
    }
    // The inputs reach every branch, not one of them all the time.
    EXPECT_GT(zeros, 50'000);
    EXPECT_LT(zeros, 250'000);
    EXPECT_GT(unscaled, 20'000);
}

TEST(NextWindow, GrowsAtOnce)
{
    dw_window w = half_of_128k();
    announce(w, 30000);
    EXPECT_EQ(dw_window_next(&w), 65536U);
}

TEST(NextWindow, IsNotTakenBackOnceAnnounced)
{
    dw_window w = half_of_128k();
    w.rmem = 65536;  // 32768 selected
    announce(w, 40000);
    EXPECT_EQ(dw_window_next(&w), 40064U);  // 313 * 128
    announce(w, 32768);
    EXPECT_EQ(dw_window_next(&w), 32768U);
}

TEST(NextWindow, WantsZeroButMustKeepItsWordUntilThePeerHasUsedIt)
{
    dw_window w = half_of_128k();
    w.rmem = 131072;
    announce(w, 1000);
    EXPECT_EQ(dw_window_selected(&w), 0U);
    EXPECT_EQ(dw_window_next(&w), 1024U);
    w.rcv_nxt += 999;  // one byte is left
    EXPECT_EQ(dw_window_current(&w), 1U);
    EXPECT_EQ(dw_window_next(&w), 128U);
    w.rcv_nxt += 1;
    EXPECT_EQ(dw_window_current(&w), 0U);
    EXPECT_EQ(dw_window_next(&w), 0U);
}

TEST(NextWindow, MayBeTakenBackWithShrinkWindow)
{
    dw_window w = half_of_128k();
    w.flags |= DW_SHRINK_WINDOW;
    w.rmem = 65536;
    announce(w, 40000);
    EXPECT_EQ(dw_window_next(&w), 32768U);
    w.rmem = 131072;
    EXPECT_EQ(dw_window_next(&w), 0U);
    w.rcv_wscale = 0;  // the sysctl is for scaled windows only
    EXPECT_EQ(dw_window_next(&w), 40000U);
}

TEST(NextWindow, AcrossTheWrap)
{
    dw_window w = half_of_128k();
    w.rmem = 131072;
    w.rcv_wup = 0xffffff00;
    w.rcv_wnd = 0x300;
    w.rcv_nxt = 0x100;
    EXPECT_EQ(dw_window_current(&w), 0x100U);
    EXPECT_EQ(dw_window_next(&w), 0x100U);
}

TEST(AnnouncedZero, IsWhatThePeerReads)
{
    dw_window w = half_of_128k();
    announce(w, 128);
    EXPECT_FALSE(dw_announced_zero(&w));
    announce(w, 127);  // less than one unit of the scaled field
    EXPECT_TRUE(dw_announced_zero(&w));
    w.rcv_wscale = 0;
    EXPECT_FALSE(dw_announced_zero(&w));
    announce(w, 0);
    EXPECT_TRUE(dw_announced_zero(&w));
}

TEST(MemoryLimit, LockedBufferOrHowFarAutotuningMayGo)
{
    dw_window w = half_of_128k();
    EXPECT_EQ(dw_memory_limit(&w), 6291456);
    w.flags |= DW_RCVBUF_LOCKED;
    EXPECT_EQ(dw_memory_limit(&w), 131072);
    w.flags &= static_cast<std::uint8_t>(~DW_RCVBUF_LOCKED);
    w.rcvbuf = 8388608;  // grown before the sysctl was lowered
    EXPECT_EQ(dw_memory_limit(&w), 8388608);
}

TEST(ReaderIsTold, AsTcpPollDoes)
{
    struct Case {
        const char* what;
        std::uint32_t unread;
        std::uint32_t rcvlowat;
        bool fin;
        bool urgent;
        std::int32_t rmem;
        std::uint32_t rcv_wnd;
        bool told;
    };
    const std::int32_t rcvbuf = 80'000;
    for (const Case& c : {
             Case{"nothing", 0, 1, false, false, 0, 60'000, false},
             Case{"a byte", 1, 1, false, false, 900, 60'000, true},
             Case{"less than asked for", 99, 100, false, false, 900, 60'000, false},
             Case{"as much as asked for", 100, 100, false, false, 900, 60'000, true},
             Case{"less, but a FIN is in", 99, 100, true, false, 900, 60'000, true},
             Case{"less, but memory is short", 99, 100, false, false, 70'001, 60'000, true},
             Case{"less, and memory is not short", 99, 100, false, false, 70'000, 60'000, false},
             Case{"less, but the window is one mss", 99, 100, false, false, 900, 1460, true},
             Case{"less, and the window is more", 99, 100, false, false, 900, 1461, false},
             Case{"an urgent byte alone", 1, 1, false, true, 900, 60'000, false},
             Case{"an urgent byte and another", 2, 1, false, true, 900, 60'000, true},
         }) {
        dw_window w{};
        w.rcvbuf = rcvbuf;
        w.rmem = c.rmem;
        w.rcv_wnd = c.rcv_wnd;
        w.rcv_mss = 1460;
        w.urgent = c.urgent;
        EXPECT_EQ(dw_reader_is_told(&w, c.unread, c.rcvlowat, c.fin) != 0, c.told) << c.what;
    }
}

}  // namespace
}  // namespace tcp_window_test
