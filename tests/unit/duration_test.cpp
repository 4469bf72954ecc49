#include "app/duration.hpp"

#include <gtest/gtest.h>
#include <string>

namespace drainwatch::duration_test {
namespace {

TEST(Duration, WellFormed)
{
    struct Case {
        const char* text;
        std::int64_t ns;
    };
    for (const Case& c :
         {Case{"250ms", 250'000'000}, Case{"1s", 1'000'000'000}, Case{"1.5s", 1'500'000'000},
          Case{"10m", 600'000'000'000}, Case{"4h", 14'400'000'000'000}, Case{"100us", 100'000},
          Case{"0", 0}, Case{"0s", 0}, Case{"0.0", 0}, Case{"007ms", 7'000'000},
          Case{"0.5ms", 500'000}, Case{"1.5us", 1'500}, Case{"0.001us", 1},
          Case{"0.25h", 900'000'000'000}, Case{"87600h", 315'360'000'000'000'000}}) {
        const auto parsed = parse_duration(c.text);
        ASSERT_TRUE(parsed) << c.text << ": " << parsed.error().message;
        EXPECT_EQ(parsed->count(), c.ns) << c.text;
    }
}

TEST(Duration, Malformed)
{
    for (const char* text :
         {"",     " ",     "s",    "ms",  "1",    "1.5", "1 s",  " 1s",   "1s ",  "1sec",
          "1S",   "1d",    "1ns",  "-1s", "-0",   "-0s", "+1s",  "--1s",  "1s2s", "1m30s",
          "1e3s", "0x10s", "1,5s", "nan", "nans", "inf", "infs", "1..5s", "s1",   "1ss"}) {
        const auto parsed = parse_duration(text);
        ASSERT_FALSE(parsed) << text;
        EXPECT_EQ(
            parsed.error().message,
            "\"" + std::string(text) + "\" is no duration: write it like 250ms, 1s, 10m or 4h");
    }
}

TEST(Duration, TooLong)
{
    for (const char* text : {"87601h", "315360001s", "99999999999999999999h"}) {
        const auto parsed = parse_duration(text);
        ASSERT_FALSE(parsed) << text;
        EXPECT_EQ(parsed.error().message,
                  "\"" + std::string(text) + "\" is too long a duration: at most 10 years");
    }
    EXPECT_FALSE(parse_duration(std::string(500, '9') + "s"));
}

TEST(Duration, ReadsNoFurtherThanItsText)
{
    EXPECT_EQ(parse_duration(std::string_view("250msx", 5))->count(), 250'000'000);
    EXPECT_FALSE(parse_duration(std::string_view("1s", 1)));
}

}  // namespace
}  // namespace drainwatch::duration_test
