#include "output/time.hpp"

#include "durations.hpp"

#include <gtest/gtest.h>

namespace drainwatch::time_test {
namespace {

using test::kSecond;

TEST(Rfc3339, IsUtcWithMicroseconds)
{
    EXPECT_EQ(rfc3339(0), "1970-01-01T00:00:00.000000Z");
    EXPECT_EQ(rfc3339(951782400 * kSecond), "2000-02-29T00:00:00.000000Z");
    EXPECT_EQ(rfc3339(1735689599 * kSecond + 999'999'999), "2024-12-31T23:59:59.999999Z");
    EXPECT_EQ(rfc3339(1795418701 * kSecond + 123'456'789), "2026-11-23T07:25:01.123456Z");
    EXPECT_EQ(rfc3339(4102444800 * kSecond + 1'000), "2100-01-01T00:00:00.000001Z");
}

TEST(ClockPair, PutsKernelTimesOnTheCalendar)
{
    const ClockPair clocks{500 * kSecond, 1795418701 * kSecond};
    EXPECT_EQ(clocks.to_realtime(500 * kSecond), 1795418701 * kSecond);
    EXPECT_EQ(clocks.to_realtime(501 * kSecond + 1), 1795418702 * kSecond + 1);
    EXPECT_EQ(clocks.to_realtime(440 * kSecond), 1795418641 * kSecond);
    EXPECT_EQ(clocks.to_monotonic(1795418641 * kSecond), 440 * kSecond);
    EXPECT_EQ(clocks.to_monotonic(1795418201 * kSecond - 1), 0U);
}

}  // namespace
}  // namespace drainwatch::time_test
