// What the benchmarks conclude from what they measured.
#include "bench/queue_samples.hpp"
#include "bench/results.hpp"
#include "bench/statistics.hpp"

#include <gtest/gtest.h>
#include <numeric>
#include <vector>

namespace drainwatch::bench::bench_test {
namespace {

std::vector<double> one_to(int count)
{
    std::vector<double> samples(static_cast<std::size_t>(count));
    std::iota(samples.rbegin(), samples.rend(), 1.0);
    return samples;
}

TEST(Statistics, median_of_odd_and_even)
{
    EXPECT_EQ(estimate_median({7}).median, 7);
    EXPECT_EQ(estimate_median({3, 1, 2}).median, 2);
    EXPECT_EQ(estimate_median({4, 1, 2, 3}).median, 2.5);
}

/// The ranks are those of the tables for the sign test.
TEST(Statistics, interval_of_the_median)
{
    const struct {
        int count;
        double low;
        double high;
    } cases[] = {{1, 1, 1},  {5, 1, 5},   {6, 1, 6},    {8, 1, 8},    {9, 2, 8},
                 {10, 2, 9}, {20, 6, 15}, {40, 14, 27}, {100, 40, 61}};
    for (const auto& c : cases) {
        const Estimate estimate = estimate_median(one_to(c.count));
        EXPECT_EQ(estimate.low, c.low) << c.count;
        EXPECT_EQ(estimate.high, c.high) << c.count;
    }
}

TEST(Statistics, quantiles)
{
    EXPECT_EQ(quantile(one_to(100), 0.99), 99);
    EXPECT_EQ(quantile(one_to(100), 0), 1);
    EXPECT_EQ(quantile(one_to(100), 1), 100);
    EXPECT_EQ(quantile({5}, 0.5), 5);
}

TEST(QueueSamples, line_of_ss)
{
    EXPECT_EQ(receive_queue("ESTAB 1500   0   127.0.0.1:8765 127.0.0.1:4000"), 1500U);
    EXPECT_EQ(receive_queue("\t skmem:(r0,rb131072,t0) cubic"), std::nullopt);
    EXPECT_EQ(receive_queue("SYN-SENT 0 1 127.0.0.1:8765 127.0.0.1:4000"), std::nullopt);
    EXPECT_EQ(receive_queue(""), std::nullopt);
}

TEST(QueueSamples, stall_is_seen_after_its_time)
{
    EXPECT_EQ(first_stall({{0, 0}, {50, 100}, {100, 200}, {150, 200}}, 100), 3U);
    EXPECT_EQ(first_stall({{0, 0}, {50, 100}, {100, 200}, {149, 200}}, 100), std::nullopt);
    EXPECT_EQ(first_stall({}, 100), std::nullopt);
}

TEST(QueueSamples, a_read_begins_it_anew)
{
    EXPECT_EQ(first_stall({{0, 9}, {50, 9}, {100, 8}, {150, 9}, {199, 9}}, 101), std::nullopt);
    EXPECT_EQ(first_stall({{0, 9}, {50, 9}, {100, 8}, {150, 9}, {201, 9}}, 101), 4U);
    EXPECT_EQ(first_stall({{0, 9}, {50, 0}, {100, 9}, {150, 9}}, 100), std::nullopt);
}

TEST(Results, rows_of_the_same_subject_are_replaced)
{
    const Json before =
        Json::parse(R"([{"traffic":"a","x":1},{"traffic":"a","x":2},{"traffic":"b","x":3}])");
    const Json anew = Json::parse(R"([{"traffic":"a","x":4}])");
    EXPECT_EQ(merge(before, anew).dump(), R"([{"traffic":"b","x":3},{"traffic":"a","x":4}])");
    const Json sizes = Json::parse(R"([{"sockets":1000,"x":1}])");
    const Json more = Json::parse(R"([{"sockets":10000,"x":2}])");
    EXPECT_EQ(merge(sizes, more).dump(), R"([{"sockets":1000,"x":1},{"sockets":10000,"x":2}])");
}

TEST(Results, members_are_replaced)
{
    const Json before = Json::parse(R"({"cost":1,"stall":2})");
    EXPECT_EQ(merge(before, Json::parse(R"({"stall":3})")).dump(), R"({"cost":1,"stall":3})");
}

}  // namespace
}  // namespace drainwatch::bench::bench_test
