// A socket of which tcp_info is not told, as while its reader holds the socket's lock.
#include "polled.hpp"

#include <gtest/gtest.h>
#include <algorithm>

namespace drainwatch::polled_without_info_test {
namespace {

using test::kBegin;
using test::KernelSocket;
using test::kMs;
using test::kSecond;
using test::Polled;
using test::silent_ns;
using test::Tells;

/// Of a connection that is as old as the counter says.
constexpr std::uint64_t kPlaces[] = {0, 1'000'000'000, 3'000'000'000, 0xffff'ff00, 77'000'000'000};

/// Found while its reader held the lock; the counter is told from now on.
Polled found_without_info(std::uint64_t place)
{
    Polled p{KernelSocket(Tells::nothing, place)};
    p.kernel.arrive(1000, kBegin + 20 * kMs);
    (void)p.look(kBegin + 50 * kMs);
    p.kernel.tell(Tells::counters);
    return p;
}

TEST(PolledWithoutInfo, ACounterThatIsToldLaterEndsNoSilence)
{
    for (const std::uint64_t place : kPlaces) {
        Polled p = found_without_info(place);
        SocketSample s;
        for (std::uint64_t at = kBegin + 100 * kMs; at <= kBegin + kSecond; at += 50 * kMs) {
            s = p.look(at);
        }
        EXPECT_EQ(s.unread_bytes(), 1000U) << place;
        EXPECT_EQ(s.last_read_ns, 0U) << place;
        EXPECT_GE(silent_ns(s), 950 * kMs) << place;
    }
}

/// The queue looks the same each time.
void expect_reads_are_seen(Polled& p, std::uint64_t from_ns)
{
    SocketSample s;
    for (std::uint64_t at = from_ns; at <= from_ns + kSecond; at += 50 * kMs) {
        p.kernel.read_all(at);
        p.kernel.arrive(1000, at + 10 * kMs);
        s = p.look(at + 20 * kMs);
        EXPECT_EQ(s.unread_bytes(), 1000U);
    }
    EXPECT_LE(silent_ns(s), 100 * kMs);
}

TEST(PolledWithoutInfo, AfterACounterIsToldItsReadsAreSeen)
{
    for (const std::uint64_t place : kPlaces) {
        Polled p = found_without_info(place);
        expect_reads_are_seen(p, kBegin + 100 * kMs);
    }
}

TEST(PolledWithoutInfo, AfterACounterWasNotToldForLongItsReadsAreSeen)
{
    for (const std::uint64_t read_meanwhile : {0ULL, 1'000'000ULL, 3'000'000'000ULL}) {
        Polled p{KernelSocket(Tells::counters, 5'000'000'000)};
        p.kernel.arrive(1000, kBegin + 20 * kMs);
        (void)p.look(kBegin + 50 * kMs);
        p.kernel.tell(Tells::nothing);
        (void)p.look(kBegin + 100 * kMs);
        for (std::uint64_t rest = read_meanwhile; rest != 0;) {
            const auto bytes =
                static_cast<std::uint32_t>(std::min<std::uint64_t>(rest, 1'000'000'000));
            p.kernel.arrive(bytes, kBegin + 110 * kMs);
            rest -= bytes;
        }
        p.kernel.read(read_meanwhile, kBegin + 120 * kMs);
        (void)p.look(kBegin + 20 * kSecond);
        p.kernel.tell(Tells::counters);
        const SocketSample first = p.look(kBegin + 20 * kSecond + 50 * kMs);
        const SocketSample second = p.look(kBegin + 20 * kSecond + 100 * kMs);
        if (read_meanwhile > 0) {
            EXPECT_LE(silent_ns(second), 100 * kMs) << read_meanwhile;
        } else {
            EXPECT_GE(silent_ns(first), 20 * kSecond);
            EXPECT_GE(silent_ns(second), 20 * kSecond);
        }
        expect_reads_are_seen(p, kBegin + 21 * kSecond);
    }
}

TEST(PolledWithoutInfo, AClosedWindowOfWhichNothingIsToldStaysClosedUntilAllIsRead)
{
    Polled p{KernelSocket(Tells::counters)};
    p.kernel.arrive(1000, kBegin + 20 * kMs);
    p.kernel.window = 0;
    EXPECT_TRUE(p.look(kBegin + 50 * kMs).closed);
    p.kernel.tell(Tells::nothing);
    SocketSample s = p.look(kBegin + 100 * kMs);
    EXPECT_TRUE(s.closed);
    EXPECT_EQ(s.zero_count, 1U);
    p.kernel.read_all(kBegin + 120 * kMs);
    s = p.look(kBegin + 150 * kMs);
    EXPECT_FALSE(s.closed);
}

}  // namespace
}  // namespace drainwatch::polled_without_info_test
