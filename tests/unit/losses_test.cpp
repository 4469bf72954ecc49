#include "output/losses.hpp"

#include <gtest/gtest.h>

namespace drainwatch::losses_test {
namespace {

constexpr auto kTableFull = "some sockets with unread data are not followed: raise --max-sockets";
constexpr auto kEvents =
    "some events were lost: a reset or a new connection may be missed; stalls and zero windows "
    "rest "
    "on the kernel's counters and hold";

TEST(LossesInWords, AreThoseThatWereNotToldYet)
{
    Losses told;
    Losses now;
    EXPECT_EQ(losses_in_words(now, told), "");
    now.table_full = 3;
    EXPECT_EQ(losses_in_words(now, told), kTableFull);
    told = now;
    now.ring_full = 1;
    EXPECT_EQ(losses_in_words(now, told), kEvents) << "the table was full long ago";
    now.table_full = 4;
    EXPECT_EQ(losses_in_words(now, told), std::string(kTableFull) + "; " + kEvents);
}

TEST(LossesInWords, EachCountHasItsOwn)
{
    using Count = std::uint64_t Losses::*;
    const std::vector<std::pair<Count, std::string>> cases{
        {&Losses::ring_full, kEvents},
        {&Losses::runs_missed, kEvents},
        {&Losses::undecoded, kEvents},
        {&Losses::table_full, kTableFull},
        {&Losses::storage_failed,
         "some sockets are not watched: there was no room to remember them"},
        {&Losses::multipath,
         "some connections of Multipath TCP are not followed: how far they are read is not to be "
         "seen"},
        {&Losses::bytes_lost, "some TLS handshakes or alerts may be missed"},
        {&Losses::handshakes_given_up, "some TLS handshakes or alerts may be missed"},
        {&Losses::looks_failed,
         "some looks failed, as when memory is short or a socket locked for long: what only they "
         "find is found by a later one"},
    };
    for (const auto& [count, words] : cases) {
        Losses now;
        now.*count = 1;
        EXPECT_EQ(losses_in_words(now, {}), words);
        Losses sum = now;
        sum += now;
        EXPECT_EQ(sum.*count, 2U);
    }
}

}  // namespace
}  // namespace drainwatch::losses_test
