#include "profile/distribution.hpp"

#include <gtest/gtest.h>
#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace drainwatch::histogram_test {
namespace {

TEST(Histogram, buckets_follow_one_another_without_a_gap)
{
    constexpr std::uint32_t kLast = 40 * DW_SUB_BUCKETS;
    for (std::uint32_t bucket = 0; bucket < kLast; bucket++) {
        const std::uint64_t lower = dw_bucket_lower(bucket);
        const std::uint64_t width = dw_bucket_width(bucket);
        EXPECT_EQ(dw_bucket_of(lower), bucket);
        EXPECT_EQ(dw_bucket_of(lower + width - 1), bucket);
        EXPECT_EQ(dw_bucket_lower(bucket + 1), lower + width);
    }
}

TEST(Histogram, a_bucket_is_a_32nd_of_its_values_wide_at_most)
{
    for (std::uint64_t value = 1; value < 100'000'000'000; value = value * 9 / 8 + 1) {
        const std::uint32_t bucket = dw_bucket_of(value);
        EXPECT_LE(dw_bucket_width(bucket), std::max<std::uint64_t>(value / 32, 1)) << value;
    }
}

TEST(Histogram, the_largest_value_has_a_bucket)
{
    const std::uint32_t bucket = dw_bucket_of(~0ULL);
    EXPECT_EQ(dw_bucket_lower(bucket) + (dw_bucket_width(bucket) - 1), ~0ULL);
}

TEST(Distribution, of_nothing)
{
    const Distribution none;
    EXPECT_EQ(none.count(), 0U);
    EXPECT_EQ(none.mean(), 0);
    EXPECT_EQ(none.quantile(0.5), 0);
}

TEST(Distribution, of_one_value)
{
    Distribution one;
    one.add(5'000'000'000);
    for (const double q : {0.0, 0.5, 0.999, 1.0}) {
        EXPECT_NEAR(one.quantile(q), 5e9, 5e9 * 0.016);
        EXPECT_LE(one.quantile(q), 5e9) << "no quantile is beyond the maximum";
    }
    EXPECT_EQ(one.mean(), 5e9);
    EXPECT_EQ(one.max(), 5'000'000'000U);
}

/// What must hold: within 1.6 % of the truth plus 5 us.
TEST(Distribution, quantiles_are_near_the_exact_ones)
{
    std::mt19937_64 random(20180831);  // NOLINT(cert-msc51-cpp): the same each time
    for (int round = 0; round < 200; round++) {
        std::uniform_real_distribution<double> magnitude(0, 11);
        const double low = magnitude(random);
        std::uniform_real_distribution<double> log10(low, std::min(11.0, low + 1 + round % 5));
        Distribution distribution;
        std::vector<std::uint64_t> values(1 + random() % 5000);
        for (std::uint64_t& value : values) {
            value = static_cast<std::uint64_t>(std::pow(10, log10(random)));
            distribution.add(value);
        }
        std::sort(values.begin(), values.end());
        for (const double q : {0.01, 0.5, 0.9, 0.99, 0.999, 1.0}) {
            const auto rank =
                static_cast<std::size_t>(std::ceil(q * static_cast<double>(values.size())));
            const auto exact = static_cast<double>(values[std::max<std::size_t>(rank, 1) - 1]);
            EXPECT_NEAR(distribution.quantile(q), exact, exact * 0.016 + 5e3) << q;
        }
        EXPECT_EQ(distribution.max(), values.back());
    }
}

TEST(Distribution, of_two_together)
{
    Distribution a;
    Distribution b;
    a.add(100, 3);
    b.add(100, 2);
    b.add(7, 5);
    a.add(b);
    EXPECT_EQ(a.count(), 10U);
    EXPECT_EQ(a.sum(), 535);
    EXPECT_EQ(a.max(), 100U);
    EXPECT_EQ(a.buckets().size(), 2U);
}

}  // namespace
}  // namespace drainwatch::histogram_test
