#include "cmlog/time_zone.hpp"

#include "output/time.hpp"

#include <gtest/gtest.h>

namespace drainwatch::cmlog::cmlog_time_zone_test {
namespace {

constexpr std::uint64_t kHourNs = 3600ULL * 1'000'000'000;

std::string in_utc(const std::string& zone, const LocalTime& time, std::uint64_t now_ns = 0)
{
    const auto found = TimeZone::named(zone);
    EXPECT_TRUE(found) << zone;
    const auto at_ns = found->to_realtime(time, now_ns);
    return at_ns ? rfc3339(*at_ns) : "none";
}

TEST(TimeZone, TheIncidentAndOthers)
{
    const LocalTime incident{2018, 8, 31, 4, 27, 41, 508};
    EXPECT_EQ(in_utc("UTC", incident), "2018-08-31T04:27:41.508000Z");
    EXPECT_EQ(in_utc("America/Denver", incident), "2018-08-31T10:27:41.508000Z");
    EXPECT_EQ(in_utc("Asia/Kolkata", incident), "2018-08-30T22:57:41.508000Z");
}

TEST(TimeZone, ATimeThatCameTwiceIsTheOneNearerToNow)
{
    const LocalTime twice{2026, 10, 25, 2, 30, 0, 0};
    const auto berlin = TimeZone::named("Europe/Berlin");
    ASSERT_TRUE(berlin);
    const auto first = berlin->to_realtime(twice, 0);
    ASSERT_TRUE(first);
    EXPECT_EQ(rfc3339(*first), "2026-10-25T00:30:00.000000Z");
    EXPECT_EQ(berlin->to_realtime(twice, *first + kHourNs / 4), *first);
    EXPECT_EQ(berlin->to_realtime(twice, *first + kHourNs), *first + kHourNs);
}

TEST(TimeZone, ATimeThatNeverCameIsThatOfTheClockNotYetSet)
{
    EXPECT_EQ(in_utc("Europe/Berlin", {2026, 3, 29, 2, 30, 0, 0}), "2026-03-29T01:30:00.000000Z");
}

TEST(TimeZone, DatesThatAreNone)
{
    for (const LocalTime& time :
         {LocalTime{2026, 2, 29, 0, 0, 0, 0}, LocalTime{2026, 13, 1, 0, 0, 0, 0},
          LocalTime{2026, 0, 1, 0, 0, 0, 0}, LocalTime{2026, 1, 0, 0, 0, 0, 0},
          LocalTime{2026, 1, 1, 24, 0, 0, 0}, LocalTime{2026, 1, 1, 0, 60, 0, 0},
          LocalTime{2026, 1, 1, 0, 0, 61, 0}, LocalTime{1969, 12, 31, 23, 59, 59, 0}}) {
        EXPECT_EQ(in_utc("UTC", time), "none");
    }
    EXPECT_EQ(in_utc("UTC", {2016, 12, 31, 23, 59, 60, 0}), "2017-01-01T00:00:00.000000Z");
}

TEST(TimeZone, AWrongNameIsOneSentence)
{
    const auto none = TimeZone::named("Atlantis/Main");
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().message,
              "there is no time zone \"Atlantis/Main\": write a name such as Europe/Berlin");
}

}  // namespace
}  // namespace drainwatch::cmlog::cmlog_time_zone_test
