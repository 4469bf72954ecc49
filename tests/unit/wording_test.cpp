#include "detect/wording.hpp"

#include <gtest/gtest.h>

namespace drainwatch::wording_test {
namespace {

TEST(Wording, OfTime)
{
    EXPECT_EQ(in_words(0), "0 ms");
    EXPECT_EQ(in_words(0.0501), "50 ms");
    EXPECT_EQ(in_words(0.999), "999 ms");
    EXPECT_EQ(in_words(1), "1.0 s");
    EXPECT_EQ(in_words(2.34), "2.3 s");
    EXPECT_EQ(in_words(119.94), "119.9 s");
    EXPECT_EQ(in_words(120), "2 min");
    EXPECT_EQ(in_words(4 * 3600), "240 min");
}

TEST(Wording, OfTheQueue)
{
    Reading r;
    r.unread_bytes = 34567;
    r.age_ns = 1'200'000'000;
    EXPECT_EQ(queue_in_words(r), "34567 bytes wait unread, the oldest for 1.2 s");
    r.age_is_lower_bound = true;
    EXPECT_EQ(queue_in_words(r), "34567 bytes wait unread, the oldest for at least 1.2 s");
}

TEST(Wording, OfTheForecast)
{
    EXPECT_EQ(forecast_in_words(std::nullopt), "");
    EXPECT_EQ(forecast_in_words(0.25), "; zero window in about 250 ms");
}

}  // namespace
}  // namespace drainwatch::wording_test
