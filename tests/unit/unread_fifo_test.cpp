#include "drainwatch/unread_fifo.h"

#include "durations.hpp"

#include <gtest/gtest.h>
#include <algorithm>
#include <deque>
#include <random>
#include <vector>

namespace unread_fifo_test {
namespace {

using drainwatch::test::kMs;

/// `count` arrivals of 100 bytes, one each millisecond, the first at 1 ms; bytes from 0.
dw_fifo one_each_ms(std::uint32_t count)
{
    dw_fifo f{};
    for (std::uint32_t i = 1; i <= count; i++) {
        dw_fifo_push(&f, i * 100, i * kMs);
    }
    return f;
}

std::vector<std::uint32_t> ends(const dw_fifo& f)
{
    std::vector<std::uint32_t> all;
    for (std::uint32_t i = 0; i < f.count; i++) {
        all.push_back(std::uint32_t{f.entry[(f.head + i) % DW_FIFO_LEN].end_seq});
    }
    return all;
}

TEST(UnreadFifo, EmptyHasNoOldest)
{
    const dw_fifo f{};
    EXPECT_EQ(dw_fifo_oldest_ns(&f), 0U);
}

TEST(UnreadFifo, OldestIsTheFirstThatCame)
{
    const dw_fifo f = one_each_ms(3);
    EXPECT_EQ(f.count, 3U);
    EXPECT_EQ(dw_fifo_oldest_ns(&f), 1 * kMs);
}

TEST(UnreadFifo, PartialReadMovesOnAtTheBoundaryOfAnArrival)
{
    dw_fifo f = one_each_ms(3);
    struct Step {
        std::uint32_t copied_seq;
        std::uint64_t oldest_ms;
        std::uint32_t count;
    };
    for (const Step& s : {Step{0, 1, 3}, Step{99, 1, 3}, Step{100, 2, 2}, Step{199, 2, 2},
                          Step{201, 3, 1}, Step{299, 3, 1}, Step{300, 0, 0}, Step{400, 0, 0}}) {
        dw_fifo_pop(&f, s.copied_seq);
        EXPECT_EQ(dw_fifo_oldest_ns(&f), s.oldest_ms * kMs) << "read to " << s.copied_seq;
        EXPECT_EQ(f.count, s.count) << "read to " << s.copied_seq;
    }
}

TEST(UnreadFifo, OneReadTakesAllSixteen)
{
    dw_fifo f = one_each_ms(16);
    EXPECT_EQ(f.count, 16U);
    dw_fifo_pop(&f, 1600);
    EXPECT_EQ(f.count, 0U);
    EXPECT_EQ(dw_fifo_oldest_ns(&f), 0U);
}

TEST(UnreadFifo, SequenceNumbersWrap)
{
    dw_fifo f{};
    dw_fifo_push(&f, 0xffffff00, 1 * kMs);
    dw_fifo_push(&f, 0x00000100, 2 * kMs);  // 512 bytes across the wrap
    dw_fifo_push(&f, 0x00000200, 3 * kMs);
    dw_fifo_pop(&f, 0xfffffeff);
    EXPECT_EQ(dw_fifo_oldest_ns(&f), 1 * kMs);
    dw_fifo_pop(&f, 0xffffff00);
    EXPECT_EQ(dw_fifo_oldest_ns(&f), 2 * kMs);
    dw_fifo_pop(&f, 0x000000ff);
    EXPECT_EQ(dw_fifo_oldest_ns(&f), 2 * kMs);
    dw_fifo_pop(&f, 0x00000100);
    EXPECT_EQ(dw_fifo_oldest_ns(&f), 3 * kMs);
}

TEST(UnreadFifo, SixteenAreKeptAsTheyAre)
{
    dw_fifo f = one_each_ms(16);
    for (std::uint32_t i = 1; i <= 16; i++) {
        EXPECT_EQ(dw_fifo_oldest_ns(&f), i * kMs);
        dw_fifo_pop(&f, i * 100);
    }
}

TEST(UnreadFifo, TheSeventeenthMakesRoomAndLosesNeitherEnd)
{
    const dw_fifo f = one_each_ms(17);
    EXPECT_LE(f.count, 16U);
    EXPECT_EQ(dw_fifo_oldest_ns(&f), 1 * kMs);
    EXPECT_EQ(ends(f).back(), 1700U);
    EXPECT_EQ(dw_fifo_at_ns(&f, f.count - 1), 17 * kMs);
}

TEST(UnreadFifo, MergedArrivalsAreReadToTheEndOfTheLast)
{
    dw_fifo f = one_each_ms(17);
    const std::vector<std::uint32_t> boundaries = ends(f);
    ASSERT_TRUE(std::is_sorted(boundaries.begin(), boundaries.end()));
    // One byte before a boundary the entry still stands, at it the next is the oldest.
    for (std::size_t i = 0; i + 1 < boundaries.size(); i++) {
        const std::uint64_t oldest = dw_fifo_oldest_ns(&f);
        dw_fifo_pop(&f, boundaries[i] - 1);
        EXPECT_EQ(dw_fifo_oldest_ns(&f), oldest);
        dw_fifo_pop(&f, boundaries[i]);
        EXPECT_EQ(dw_fifo_oldest_ns(&f), boundaries[i] / 100 * kMs + kMs);
    }
}

TEST(UnreadFifo, MergesWhereverTheRingBegins)
{
    for (std::uint32_t begin = 0; begin < DW_FIFO_LEN; begin++) {
        dw_fifo f{};
        for (std::uint32_t i = 0; i < begin; i++) {
            dw_fifo_push(&f, i, 1);
        }
        dw_fifo_pop(&f, begin);
        for (std::uint32_t i = 1; i <= 40; i++) {
            dw_fifo_push(&f, 1000 + i * 100, i * kMs);
        }
        EXPECT_EQ(dw_fifo_oldest_ns(&f), 1 * kMs) << "begin " << begin;
        const std::vector<std::uint32_t> boundaries = ends(f);
        EXPECT_TRUE(std::is_sorted(boundaries.begin(), boundaries.end())) << "begin " << begin;
        EXPECT_EQ(boundaries.back(), 5000U) << "begin " << begin;
    }
}

TEST(UnreadFifo, NobodyReadsForLong)
{
    const dw_fifo f = one_each_ms(1'000'000);
    EXPECT_EQ(dw_fifo_oldest_ns(&f), 1 * kMs);
    EXPECT_EQ(ends(f).back(), 100'000'000U);
}

/// A queue of 64 arrivals over 63 ms. The header promises an eighth of this (8 ms); a third is
/// granted here.
TEST(UnreadFifo, AfterAPartialReadTheAgeIsOverstatedByAPartOfTheQueueOnly)
{
    for (std::uint32_t read = 1; read < 64; read++) {
        dw_fifo f = one_each_ms(64);
        dw_fifo_pop(&f, read * 100);
        const std::uint64_t truth = (read + 1) * kMs;
        EXPECT_LE(dw_fifo_oldest_ns(&f), truth) << "after " << read;
        EXPECT_GE(dw_fifo_oldest_ns(&f) + 21 * kMs, truth) << "after " << read;
    }
}

/// The same over a second: however many were merged, the share stays.
TEST(UnreadFifo, TheOverstatementDoesNotGrowWithTheNumberOfArrivals)
{
    dw_fifo f = one_each_ms(1000);
    dw_fifo_pop(&f, 90'000);  // nine tenths
    EXPECT_LE(dw_fifo_oldest_ns(&f), 901 * kMs);
    EXPECT_GE(dw_fifo_oldest_ns(&f), 568 * kMs);
}

/// A reader that keeps up, always 64 arrivals behind: the age of its queue must not grow.
TEST(UnreadFifo, AQueueThatIsNeverEmptyDoesNotAgeForever)
{
    dw_fifo f{};
    for (std::uint32_t i = 1; i <= 10'000; i++) {
        dw_fifo_push(&f, i * 100, i * kMs);
        if (i <= 64) {
            continue;
        }
        dw_fifo_pop(&f, (i - 64) * 100);
        const std::uint64_t age = i * kMs - dw_fifo_oldest_ns(&f);
        ASSERT_GE(age, 63 * kMs) << "at " << i << " ms";
        ASSERT_LE(age, 84 * kMs) << "at " << i << " ms";
    }
}

/// Random arrivals and reads, against a queue that forgets nothing.
class UnreadFifoModel : public testing::TestWithParam<std::uint32_t> {
protected:
    struct Arrival {
        std::uint32_t end;
        std::uint64_t at;
    };

    void SetUp() override
    {
        random_.seed(GetParam());
        end_ = 0xffff0000;  // so that sequence numbers wrap
        copied_ = end_;
    }

    std::uint32_t one_to(std::uint32_t most)
    {
        return std::uniform_int_distribution<std::uint32_t>(1, most)(random_);
    }

    void arrive()
    {
        now_ += one_to(2000);
        end_ += one_to(3000);
        dw_fifo_push(&fifo_, end_, now_);
        model_.push_back({end_, now_});
        merged_ = merged_ || model_.size() > DW_FIFO_LEN;
        longest_span_ = std::max(longest_span_, now_ - model_.front().at);
    }

    void read()
    {
        copied_ += std::min(one_to(60'000), end_ - copied_);
        dw_fifo_pop(&fifo_, copied_);
        while (!model_.empty() && static_cast<std::int32_t>(copied_ - model_.front().end) >= 0) {
            model_.pop_front();
        }
        if (model_.empty()) {
            merged_ = false;
            longest_span_ = 0;
        }
    }

    [[nodiscard]] std::uint64_t truth() const { return model_.empty() ? 0 : model_.front().at; }

    dw_fifo fifo_{};
    std::deque<Arrival> model_;
    bool merged_ = false;  ///< since the queue was empty
    std::uint64_t longest_span_ = 0;

private:
    std::mt19937 random_;
    std::uint64_t now_ = 1;
    std::uint32_t end_ = 0;
    std::uint32_t copied_ = 0;
};

TEST_P(UnreadFifoModel, OldestIsExactUntilMergedAndNeverYounger)
{
    std::mt19937 choice(7);
    int exact = 0;
    int merged = 0;
    for (int i = 0; i < 100'000; i++) {
        // Phases in which nearly nobody reads, and others in which reads keep up.
        const std::uint32_t reads_in_100 = i / 500 % 2 == 0 ? 3 : 20;
        if (choice() % 100 < reads_in_100) {
            read();
        } else {
            arrive();
        }
        ASSERT_EQ(dw_fifo_oldest_ns(&fifo_) == 0, model_.empty()) << "step " << i;
        if (!merged_) {
            ASSERT_EQ(dw_fifo_oldest_ns(&fifo_), truth()) << "step " << i;
            exact++;
        } else {
            ASSERT_LE(dw_fifo_oldest_ns(&fifo_), truth()) << "step " << i;
            merged++;
        }
    }
    EXPECT_GT(exact, 5'000);
    EXPECT_GT(merged, 5'000);
}

TEST_P(UnreadFifoModel, OldestIsOverstatedByAThirdOfTheQueueAtMost)
{
    std::mt19937 choice(7);
    std::uint64_t worst_excess = 0;
    for (int i = 0; i < 100'000; i++) {
        const std::uint32_t reads_in_100 = i / 500 % 2 == 0 ? 3 : 20;
        if (choice() % 100 < reads_in_100) {
            read();
        } else {
            arrive();
        }
        const std::uint64_t oldest = dw_fifo_oldest_ns(&fifo_);
        const std::uint64_t over = truth() - std::min(truth(), oldest);
        if (over > longest_span_ / 3) {
            worst_excess =
                std::max(worst_excess, over * 100 / std::max<std::uint64_t>(longest_span_, 1));
        }
    }
    EXPECT_EQ(worst_excess, 0U) << "percent of the longest span of the queue";
}

INSTANTIATE_TEST_SUITE_P(Seeds, UnreadFifoModel, testing::Values(1, 2, 3));

}  // namespace
}  // namespace unread_fifo_test
