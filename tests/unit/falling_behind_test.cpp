#include "detect/finding.hpp"
#include "link.hpp"

#include <gtest/gtest.h>

namespace drainwatch::falling_behind_test {
namespace {

using test::kMs;
using test::kSecond;

const Limits kLimits;  // horizon 5 s

/// A reader at work on a queue that will be full in `seconds`.
Reading losing_ground(double short_s, double long_s)
{
    Reading r;
    r.at_ns = 100 * kSecond;
    r.queue_bytes = r.unread_bytes = 50'000;
    r.age_ns = 900 * kMs;
    r.silent_ns = 5 * kMs;
    r.since_read_ns = 5 * kMs;
    r.read_spacing_ns = 10 * kMs;
    r.arrival_bytes_per_s = 30'000;
    r.drain_bytes_per_s = 20'000;
    r.reads = true;
    r.if_reading = Forecast{short_s, long_s};
    return r;
}

std::optional<Severity> verdict(const Reading& r)
{
    const auto finding = falling_behind(r, kLimits);
    if (!finding) {
        return std::nullopt;
    }
    EXPECT_EQ(finding->trouble, Trouble::falling_behind);
    return finding->severity;
}

TEST(FallingBehind, WithinTheHorizonAndCriticalInItsLastFifth)
{
    struct Case {
        double short_s, long_s;
        std::optional<Severity> severity;
    };
    for (const Case& c : {Case{5.001, 4.0, {}}, Case{4.0, 5.001, {}},
                          Case{5.0, 5.0, Severity::warning}, Case{0.5, 1.001, Severity::warning},
                          Case{3.0, 1.0, Severity::critical}, Case{0.1, 0.1, Severity::critical}}) {
        EXPECT_EQ(verdict(losing_ground(c.short_s, c.long_s)), c.severity)
            << c.short_s << " and " << c.long_s;
    }
}

TEST(FallingBehind, ClosedInEffectIsCritical)
{
    Reading r = losing_ground(4, 4);
    r.closed_in_effect = true;
    EXPECT_EQ(verdict(r), Severity::critical);
}

TEST(FallingBehind, AReaderThatDoesNotReadIsNotDraining)
{
    Reading r = losing_ground(1, 1);
    r.reads = false;
    EXPECT_EQ(verdict(r), std::nullopt);
}

TEST(FallingBehind, WithoutRisingTroughsThereIsNone)
{
    Reading r = losing_ground(1, 1);
    r.if_reading.reset();
    EXPECT_EQ(verdict(r), std::nullopt);
}

TEST(FallingBehind, AClosedWindowIsToldAsSuch)
{
    Reading r = losing_ground(1, 1);
    r.closed = true;
    EXPECT_EQ(verdict(r), std::nullopt);
}

TEST(FallingBehind, AYoungQueuePassesThrough)
{
    struct Case {
        std::uint64_t age_ns, spacing_ns;
        bool found;
    };
    for (const Case& c :
         {Case{20 * kMs - 1, 0, false}, Case{20 * kMs, 0, true}, Case{20 * kMs, 10 * kMs, true},
          Case{399 * kMs, 200 * kMs, false}, Case{400 * kMs, 200 * kMs, true}}) {
        Reading r = losing_ground(1, 1);
        r.age_ns = c.age_ns;
        r.read_spacing_ns = c.spacing_ns;
        EXPECT_EQ(verdict(r).has_value(), c.found) << c.age_ns << " at " << c.spacing_ns;
    }
}

TEST(FallingBehind, SaysSo)
{
    const auto finding = falling_behind(losing_ground(3, 2.5), kLimits);
    ASSERT_TRUE(finding);
    EXPECT_EQ(finding->zero_in_s, 2.5);
    EXPECT_EQ(finding->reason,
              "the reader loses ground: 30000 bytes/s come in, 20000 are read; "
              "50000 bytes wait unread, the oldest for 900 ms; zero window in about 2.5 s");
}

}  // namespace
}  // namespace drainwatch::falling_behind_test
