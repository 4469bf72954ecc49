#include "drainwatch/reader_thread.h"

#include <gtest/gtest.h>
#include <memory>

namespace drainwatch::reader_thread_test {
namespace {

constexpr std::uint64_t kStart = 1'000'000;
constexpr std::int32_t kPoll = 7;

class ReaderThread : public testing::Test {
protected:
    void SetUp() override { dw_thread_begin(&t_, kStart); }

    /// Off the CPU from `out`, woken at `wake`, on it again at `in`.
    void sleep(std::uint64_t out, std::uint64_t wake, std::uint64_t in)
    {
        dw_thread_leave(&t_, kStart + out, DW_THREAD_SLEEPING, kPoll);
        dw_thread_wake(&t_, kStart + wake);
        dw_thread_enter(&t_, kStart + in);
    }

    void expect_parts(std::uint64_t arrived, std::uint64_t now, const dw_parts& wanted)
    {
        const dw_parts parts = dw_thread_split(&t_, kStart + arrived, kStart + now);
        EXPECT_EQ(parts.wakeup, wanted.wakeup);
        EXPECT_EQ(parts.schedule, wanted.schedule);
        EXPECT_EQ(parts.application, wanted.application);
        EXPECT_EQ(parts.unattributed, wanted.unattributed);
        EXPECT_EQ(parts.wakeup + parts.schedule + parts.application + parts.unattributed,
                  now - arrived);
    }

    dw_thread t_{};
};

TEST_F(ReaderThread, was_asleep_as_data_came)
{
    sleep(100, 300, 350);
    expect_parts(250, 400, {50, 50, 50, 0});
}

TEST_F(ReaderThread, was_running_as_data_came)
{
    sleep(100, 300, 350);
    expect_parts(50, 400, {0, 0, 350, 0});
    expect_parts(360, 400, {0, 0, 40, 0});
}

TEST_F(ReaderThread, was_woken_already_as_data_came)
{
    sleep(100, 300, 350);
    expect_parts(320, 400, {0, 30, 50, 0});
}

TEST_F(ReaderThread, was_preempted_as_data_came)
{
    dw_thread_leave(&t_, kStart + 100, DW_THREAD_RUNNABLE, kPoll);
    dw_thread_enter(&t_, kStart + 200);
    expect_parts(150, 260, {0, 50, 60, 0});
}

/// The first time that it got a CPU after the arrival counts, whatever it did then.
TEST_F(ReaderThread, did_not_read_when_it_was_woken)
{
    sleep(100, 300, 350);
    sleep(400, 900, 950);
    expect_parts(200, 1000, {100, 50, 650, 0});
}

TEST_F(ReaderThread, a_waking_that_nobody_saw)
{
    dw_thread_leave(&t_, kStart + 100, DW_THREAD_SLEEPING, kPoll);
    dw_thread_enter(&t_, kStart + 200);
    expect_parts(150, 210, {50, 0, 10, 0});
}

TEST_F(ReaderThread, what_was_before_it_was_known_is_not_attributed)
{
    const dw_parts parts = dw_thread_split(&t_, kStart - 1, kStart + 10);
    EXPECT_EQ(parts.unattributed, 11U);
    EXPECT_EQ(parts.application, 0U);
}

TEST_F(ReaderThread, it_remembers_so_many_runs_and_no_more)
{
    for (std::uint64_t i = 0; i < DW_RUNS_LEN + 10; i++) {
        sleep(1000 * i + 100, 1000 * i + 500, 1000 * i + 600);
    }
    const std::uint64_t now = 1000 * (DW_RUNS_LEN + 10);
    expect_parts(9700, now, {0, 0, now - 9700, 0});  // as the last one forgotten ran
    expect_parts(9500, now, {0, 0, 0, now - 9500});  // it is not known what was then
    expect_parts(10200, now, {300, 100, now - 10600, 0});
    expect_parts(now - 600, now, {100, 100, 400, 0});
}

TEST_F(ReaderThread, time_counts_while_data_is_unread)
{
    EXPECT_EQ(dw_thread_settle(&t_, kStart + 100), 0U) << "nothing to read";
    t_.unread = 1;
    t_.since_ns = kStart + 150;
    EXPECT_EQ(dw_thread_settle(&t_, kStart + 200), 50U);
    EXPECT_EQ(dw_thread_settle(&t_, kStart + 200), 0U) << "once only";
    EXPECT_EQ(dw_thread_settle(&t_, kStart + 190), 0U) << "two CPUs crossed";
    dw_thread_leave(&t_, kStart + 300, DW_THREAD_SLEEPING, kPoll);
    EXPECT_EQ(t_.call, kPoll);
    dw_thread_wake(&t_, kStart + 400);
    EXPECT_EQ(t_.state, static_cast<std::uint32_t>(DW_THREAD_RUNNABLE));
    EXPECT_EQ(t_.call, DW_NO_CALL);
}

TEST_F(ReaderThread, one_that_ended_waits_no_more)
{
    t_.unread = 1;
    dw_thread_leave(&t_, kStart + 100, DW_THREAD_ENDED, kPoll);
    EXPECT_EQ(dw_thread_settle(&t_, kStart + 500), 0U);
}

TEST_F(ReaderThread, the_first_waking_counts)
{
    dw_thread_leave(&t_, kStart + 100, DW_THREAD_SLEEPING, kPoll);
    dw_thread_wake(&t_, kStart + 200);
    dw_thread_wake(&t_, kStart + 250);
    dw_thread_enter(&t_, kStart + 300);
    expect_parts(150, 300, {50, 100, 0, 0});
}

}  // namespace
}  // namespace drainwatch::reader_thread_test
