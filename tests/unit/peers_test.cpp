#include "detect/peers.hpp"

#include "durations.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

namespace drainwatch::peers_test {
namespace {

using test::kBegin;
using test::kSecond;

Peer v4(std::uint8_t last)
{
    return {1, AF_INET, {10, 1, 2, last}};
}

TEST(Peer, IsAnAddressWithoutItsPort)
{
    SocketSample s;
    s.netns = 7;
    s.remote = {AF_INET, {10, 1, 2, 3}, 40000};
    const Peer peer = peer_of(s);
    EXPECT_EQ(to_string(peer), "10.1.2.3");
    s.remote.port = 40001;
    EXPECT_EQ(peer_of(s), peer);
    s.remote = {AF_INET6, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3}, 1};
    EXPECT_EQ(peer_of(s), peer) << "v4-mapped";
    s.netns = 8;
    EXPECT_NE(peer_of(s), peer) << "another namespace may have the same addresses";
    s.remote = {AF_INET6, {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 1};
    EXPECT_EQ(to_string(peer_of(s)), "2001:db8::1");
}

TEST(Peers, ThreeBreaksWithinFiveMinutesAreFlapping)
{
    Peers peers;
    EXPECT_FALSE(peers.reset(v4(1), kBegin));
    EXPECT_FALSE(peers.reset(v4(2), kBegin + 1)) << "another peer";
    EXPECT_FALSE(peers.replaced(v4(1), kBegin + 60 * kSecond));
    const auto flapping = peers.reset(v4(1), kBegin + 300 * kSecond);
    ASSERT_TRUE(flapping);
    EXPECT_EQ(flapping->state, Flapping::State::raised);
    EXPECT_EQ(flapping->peer, v4(1));
    EXPECT_EQ(flapping->breaks, 3U);
    EXPECT_EQ(flapping->since_ns, kBegin);
}

TEST(Peers, ButNotIfTheyAreFartherApart)
{
    Peers peers;
    for (std::uint64_t i = 0; i < 10; i++) {
        EXPECT_FALSE(peers.reset(v4(1), kBegin + i * 151 * kSecond));
    }
    EXPECT_EQ(peers.table().front().second.resets, 10U);
}

TEST(Peers, OneLineThatIsUpdatedAndClearedAfterFiveQuietMinutes)
{
    Peers peers;
    for (std::uint64_t i = 0; i < 3; i++) {
        (void)peers.reset(v4(1), kBegin + i * kSecond);
    }
    const auto again = peers.replaced(v4(1), kBegin + 250 * kSecond);
    ASSERT_TRUE(again);
    EXPECT_EQ(again->state, Flapping::State::goes_on);
    EXPECT_EQ(again->breaks, 4U);
    EXPECT_EQ(again->since_ns, kBegin);
    EXPECT_TRUE(peers.quiet(kBegin + 549 * kSecond).empty());
    const auto over = peers.quiet(kBegin + 550 * kSecond);
    ASSERT_EQ(over.size(), 1U);
    EXPECT_EQ(over.front().state, Flapping::State::over);
    EXPECT_EQ(over.front().breaks, 4U);
    EXPECT_TRUE(peers.quiet(kBegin + 900 * kSecond).empty()) << "once";
    EXPECT_FALSE(peers.reset(v4(1), kBegin + 551 * kSecond)) << "it begins anew";
}

TEST(Peers, BreaksThatGoOnAreToldOfNowAndThen)
{
    Peers peers;
    std::vector<std::uint64_t> told;
    for (std::uint64_t i = 0; i < 300; i++) {
        if (const auto flapping = peers.reset(v4(1), kBegin + i * kSecond / 10)) {
            told.push_back(flapping->breaks);
        }
    }
    EXPECT_EQ(told, (std::vector<std::uint64_t>{3, 6, 12, 24, 48, 96, 192, 292}));
}

TEST(Peers, AResetThatBreaksNothingIsCountedAllTheSame)
{
    Peers peers;
    for (std::uint64_t i = 0; i < 2; i++) {
        EXPECT_FALSE(peers.replaced(v4(1), kBegin + i));
        EXPECT_FALSE(peers.reset(v4(1), kBegin + i, false));
    }
    EXPECT_EQ(peers.table().front().second.resets, 2U);
    EXPECT_TRUE(peers.replaced(v4(1), kBegin + 2));
}

TEST(Peers, TableOfThoseWithTroubleMostBreaksFirst)
{
    Peers peers;
    peers.connected(v4(1), kBegin);
    peers.connected(v4(2), kBegin);
    peers.connected(v4(3), kBegin);
    peers.episode_begun(v4(2), kBegin);
    peers.episode_over(v4(2), 5 * kSecond, kBegin);
    peers.episode_over(v4(2), 3 * kSecond, kBegin);
    (void)peers.reset(v4(3), kBegin);
    const auto rows = peers.table();
    ASSERT_EQ(rows.size(), 2U);
    EXPECT_EQ(rows[0].first, v4(3));
    EXPECT_EQ(rows[0].second.resets, 1U);
    EXPECT_EQ(rows[1].second.connections, 1U);
    EXPECT_EQ(rows[1].second.episodes, 1U);
    EXPECT_EQ(rows[1].second.longest_stall_ns, 5 * kSecond);
}

TEST(Peers, BoundedAndThoseThatFlapStay)
{
    Peers peers;
    for (std::uint64_t i = 0; i < 3; i++) {
        (void)peers.reset(v4(1), kBegin + i);
    }
    for (std::uint32_t i = 0; i < 2 * Peers::kMostPeers; i++) {
        peers.connected({i, AF_INET, {192, 0, 2, 1}}, kBegin + kSecond + i);
    }
    ASSERT_EQ(peers.table().size(), 1U);
    EXPECT_EQ(peers.table().front().first, v4(1));
    EXPECT_GT(peers.others().connections, Peers::kMostPeers);
    EXPECT_LE(peers.others().connections, Peers::kMostPeers + Peers::kMakeWay);
    EXPECT_EQ(peers.quiet(kBegin + Peers::kFlapWindowNs + 2).size(), 1U);
}

}  // namespace
}  // namespace drainwatch::peers_test
