#include "poll/connection_count.hpp"

#include <gtest/gtest.h>

#include <string_view>

namespace drainwatch {
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
    for (std::size_t length = 0; length < kSnmp.size(); length++) {
        (void)parse_tcp_counters(kSnmp.substr(0, length));
    }
}

TEST(ConnectionCount, OneThatCannotReadAlwaysHasNew)
{
    ConnectionCount none;
    EXPECT_TRUE(none.has_new());
    EXPECT_TRUE(none.has_new());
}

}  // namespace
}  // namespace drainwatch
