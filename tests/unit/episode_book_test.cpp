#include "detect/episode_book.hpp"

#include "durations.hpp"
#include "link.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

namespace drainwatch::episode_book_test {
namespace {

using test::kBegin;
using test::kSecond;
using Kind = Alert::Kind;

Alert alert(Kind kind, std::uint64_t episode, std::uint64_t at_ns, std::uint8_t peer = 1)
{
    Alert a;
    a.kind = kind;
    a.episode = episode;
    a.at_ns = at_ns;
    a.sample.remote = {AF_INET, {10, 0, 0, peer}, 40000};
    return a;
}

std::uint64_t found(const EpisodeBook& book, std::uint8_t peer, std::uint64_t at_ns)
{
    const auto* episode = book.find([&](const Endpoint& e) { return e.address[3] == peer; }, at_ns);
    return episode != nullptr ? episode->number : 0;
}

TEST(EpisodeBook, FindsWhatWentOnThen)
{
    EpisodeBook book;
    book.note(alert(Kind::not_draining, 1, kBegin));
    book.note(alert(Kind::not_draining, 2, kBegin + kSecond, 2));
    EXPECT_EQ(found(book, 1, kBegin + 5 * kSecond), 1U);
    EXPECT_EQ(found(book, 2, kBegin + 5 * kSecond), 2U);
    EXPECT_EQ(found(book, 3, kBegin + 5 * kSecond), 0U);
    EXPECT_EQ(found(book, 1, kBegin - 1), 0U) << "it had not begun";
}

TEST(EpisodeBook, OneThatIsOverIsMeantForAWhile)
{
    EpisodeBook book;
    book.note(alert(Kind::not_draining, 1, kBegin));
    book.note(alert(Kind::link_reset, 1, kBegin + 10 * kSecond));
    EXPECT_EQ(found(book, 1, kBegin + 10 * kSecond + EpisodeBook::kStillMeantNs), 1U);
    EXPECT_EQ(found(book, 1, kBegin + 10 * kSecond + EpisodeBook::kStillMeantNs + 1), 0U);
    book.note(alert(Kind::not_draining, 2, kBegin + 12 * kSecond));
    book.note(alert(Kind::not_draining, 3, kBegin + 13 * kSecond));
    book.note(alert(Kind::recovered, 3, kBegin + 14 * kSecond));
    EXPECT_EQ(found(book, 1, kBegin + 20 * kSecond), 2U) << "the one that goes on";
    EXPECT_EQ(found(book, 1, kBegin + 11 * kSecond), 1U) << "as it was then";
}

/// Two links of a peer are stalled, and what is logged as one of them breaks is about that one.
TEST(EpisodeBook, OneThatJustBrokeIsMeant)
{
    EpisodeBook book;
    book.note(alert(Kind::not_draining, 1, kBegin));
    book.note(alert(Kind::not_draining, 2, kBegin + kSecond));
    book.note(alert(Kind::link_reset, 1, kBegin + 10 * kSecond));
    EXPECT_EQ(found(book, 1, kBegin + 10 * kSecond + 5'000'000), 1U);
    EXPECT_EQ(found(book, 1, kBegin + 13 * kSecond), 2U) << "the one that goes on";
    book.note(alert(Kind::link_replaced, 2, kBegin + 20 * kSecond));
    EXPECT_EQ(found(book, 1, kBegin + 20 * kSecond - 5'000'000), 2U);
}

TEST(EpisodeBook, KnowsTheFirstWarning)
{
    EpisodeBook book;
    book.note(alert(Kind::zero_window, 1, kBegin));
    const auto any = [](const Endpoint&) { return true; };
    EXPECT_FALSE(book.find(any, kBegin)->first_warning_ns);
    book.note(alert(Kind::not_draining, 1, kBegin + kSecond));
    book.note(alert(Kind::not_draining, 1, kBegin + 2 * kSecond));
    EXPECT_EQ(book.find(any, kBegin + kSecond)->first_warning_ns, kBegin + kSecond);
}

TEST(EpisodeBook, ForgetsTheOldest)
{
    EpisodeBook book;
    for (std::uint64_t i = 1; i <= EpisodeBook::kMost + 1; i++) {
        book.note(alert(Kind::not_draining, i, kBegin + i, i == 1 ? 1 : 2));
    }
    EXPECT_EQ(found(book, 1, kBegin + kSecond), 0U);
    EXPECT_EQ(found(book, 2, kBegin + kSecond), EpisodeBook::kMost + 1);
}

TEST(EpisodeBook, WhatIsOutsideOfAnyIsNone)
{
    EpisodeBook book;
    book.note(alert(Kind::link_reset, 0, kBegin));
    book.note(alert(Kind::queue, 7, kBegin));
    EXPECT_EQ(found(book, 1, kBegin), 0U);
}

}  // namespace
}  // namespace drainwatch::episode_book_test
