#include "poll/connection_count.hpp"

#include <gtest/gtest.h>

#include <string_view>

namespace drainwatch::connection_count_test {
namespace {

/// Linux 6.18.
constexpr std::string_view kSnmp =
    "Ip: Forwarding DefaultTTL InReceives\n"
    "Ip: 2 64 18967962\n"
    "Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets "
    "CurrEstab InSegs OutSegs\n"
    "Tcp: 1 200 120000 -1 27167 27131 11 7704 3 18975173 18959353\n"
    "Udp: InDatagrams NoPorts\n"
    "Udp: 61 0\n";

TEST(ConnectionCount, ReadsTheCountersByTheirNames)
{
    const auto counters = parse_tcp_counters(kSnmp);
    ASSERT_TRUE(counters);
    EXPECT_EQ(counters->active_opens, 27167U);
    EXPECT_EQ(counters->passive_opens, 27131U);
    EXPECT_EQ(counters->curr_estab, 3U);
}

TEST(ConnectionCount, WhatIsNotThereIsNotGuessed)
{
    EXPECT_FALSE(parse_tcp_counters(""));
    EXPECT_FALSE(parse_tcp_counters("Tcp: ActiveOpens PassiveOpens CurrEstab\n"));
    EXPECT_FALSE(parse_tcp_counters("Tcp: ActiveOpens PassiveOpens CurrEstab\nTcp: 1 2\n"));
    EXPECT_FALSE(parse_tcp_counters("Tcp: ActiveOpens PassiveOpens CurrEstab\nTcp: 1 x 3\n"));
    EXPECT_FALSE(parse_tcp_counters("Tcp: ActiveOpens CurrEstab\nTcp: 1 2\n"));
    const std::size_t end = kSnmp.find(" 3 18975173");
    for (std::size_t length = 0; length <= end; length++) {
        EXPECT_FALSE(parse_tcp_counters(kSnmp.substr(0, length))) << length;
    }
}

TEST(ConnectionCount, KnowsANewConnectionFromOneThatEnds)
{
    const TcpCounters before{.active_opens = 5, .passive_opens = 7, .curr_estab = 3};
    const auto after = [&](int active, int passive, int established) {
        TcpCounters now = before;
        now.active_opens += static_cast<std::uint64_t>(active);
        now.passive_opens += static_cast<std::uint64_t>(passive);
        now.curr_estab += static_cast<std::uint64_t>(established);
        return has_new_connection(before, now);
    };
    EXPECT_FALSE(after(0, 0, 0));
    EXPECT_FALSE(after(0, 0, -1)) << "one has ended";
    EXPECT_TRUE(after(0, 1, 1));
    EXPECT_TRUE(after(0, 1, 0)) << "one has taken the place of another";
    EXPECT_TRUE(after(1, 0, 0)) << "it is being made";
    EXPECT_TRUE(after(0, 0, 1)) << "and is made";
}

TEST(ConnectionCount, OneThatCannotReadAlwaysHasNew)
{
    ConnectionCount none;
    EXPECT_TRUE(none.has_new());
    EXPECT_TRUE(none.has_new());
}

}  // namespace
}  // namespace drainwatch::connection_count_test
