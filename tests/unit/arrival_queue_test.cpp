#include "drainwatch/arrival_queue.h"

#include "durations.hpp"

#include <gtest/gtest.h>
#include <cmath>
#include <memory>
#include <vector>

namespace drainwatch::arrival_queue_test {
namespace {

using test::kMs;

constexpr std::uint64_t kUs = 1000;
constexpr std::uint64_t kStart = 3600 * 1000 * kMs;

class ArrivalQueue : public testing::Test {
protected:
    /// As the kernel side does it.
    void arrive(std::uint64_t at_ns)
    {
        if (q_->count >= DW_QUEUE_LEN) {
            dw_queue_begin_merge(q_.get());
            for (std::uint32_t i = 1; i < DW_QUEUE_LEN; i++) {
                dw_queue_merge_step(q_.get(), i, at_ns);
            }
            dw_queue_end_merge(q_.get());
        }
        end_ += 10;
        dw_queue_push(q_.get(), end_, at_ns);
        arrivals_.push_back(at_ns);
    }

    /// All is read at this time; by segment, the latency that the queue makes of it.
    std::vector<double> read(std::uint64_t now_ns)
    {
        std::vector<double> latencies;
        dw_segments taken{};
        while (dw_queue_pop(q_.get(), end_, &taken) != 0) {
            latencies.insert(latencies.end(), taken.count,
                             static_cast<double>(now_ns - taken.at_ns));
        }
        return latencies;
    }

    std::unique_ptr<dw_arrival_queue> q_ = std::make_unique<dw_arrival_queue>();
    std::uint32_t end_ = 0xffffff00;  // the sequence wraps soon
    std::vector<std::uint64_t> arrivals_;
};

TEST_F(ArrivalQueue, segments_come_out_as_they_went_in)
{
    for (std::uint64_t i = 0; i < 100; i++) {
        arrive(kStart + i * kMs);
    }
    const auto latencies = read(kStart + 200 * kMs);
    ASSERT_EQ(latencies.size(), 100U);
    for (std::size_t i = 0; i < latencies.size(); i++) {
        EXPECT_EQ(latencies[i], static_cast<double>(kStart + 200 * kMs - arrivals_[i]));
    }
}

TEST_F(ArrivalQueue, a_segment_that_is_read_in_part_stays)
{
    arrive(kStart);
    dw_segments taken{};
    EXPECT_FALSE(dw_queue_pop(q_.get(), end_ - 1, &taken));
    EXPECT_TRUE(dw_queue_pop(q_.get(), end_, &taken));
    EXPECT_FALSE(dw_queue_pop(q_.get(), end_, &taken)) << "it is gone";
}

/// However many segments wait: none is lost, the mean is exact, each is right to a few parts in a
/// hundred.
TEST_F(ArrivalQueue, a_long_queue_keeps_the_latencies)
{
    struct Case {
        const char* what;
        std::uint64_t segments;
        std::uint64_t spacing_ns;
    };
    for (const Case& c :
         {Case{"a burst", 5000, 2 * kUs}, Case{"10 s at 10,000 a second", 100'000, 100 * kUs},
          Case{"100 s at 240 a second", 24'000, 4167 * kUs}}) {
        arrivals_.clear();
        std::uint64_t now_ns = kStart;
        for (std::uint64_t i = 0; i < c.segments; i++) {
            now_ns += c.spacing_ns;
            arrive(now_ns);
        }
        now_ns += c.spacing_ns;
        const auto latencies = read(now_ns);
        ASSERT_EQ(latencies.size(), arrivals_.size()) << c.what;
        double sum = 0;
        double exact_sum = 0;
        for (std::size_t i = 0; i < latencies.size(); i++) {
            const auto exact = static_cast<double>(now_ns - arrivals_[i]);
            EXPECT_NEAR(latencies[i], exact, 0.035 * exact + 8e3) << c.what << ", " << i;
            sum += latencies[i];
            exact_sum += exact;
        }
        EXPECT_NEAR(sum, exact_sum, 1e-3 * exact_sum) << c.what;
    }
}

TEST_F(ArrivalQueue, what_came_before_the_measurement_is_not_mixed_with_the_rest)
{
    dw_queue_push(q_.get(), end_, 0);
    for (std::uint64_t i = 0; i < 10'000; i++) {
        arrive(kStart + i * 100);
    }
    dw_segments taken{};
    ASSERT_TRUE(dw_queue_pop(q_.get(), end_, &taken));
    EXPECT_EQ(taken.at_ns, 0U);
    EXPECT_EQ(taken.count, 1U);
}

/// Gaps of every magnitude leave little that is close: then it is merged more coarsely, but the
/// queue never overflows and loses nothing.
TEST_F(ArrivalQueue, it_never_overflows)
{
    std::uint64_t now_ns = kStart;
    for (std::uint64_t i = 0; i < 20'000; i++) {
        now_ns += (i % 7 == 0 ? 50 * kMs : kUs) << (i % 5);
        arrive(now_ns);
        ASSERT_LE(q_->count, static_cast<std::uint32_t>(DW_QUEUE_LEN));
    }
    EXPECT_EQ(read(now_ns).size(), arrivals_.size());
    EXPECT_EQ(q_->coarseness, 0U) << "an empty queue begins anew";
}

}  // namespace
}  // namespace drainwatch::arrival_queue_test
