#include "detect/overdue_links.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

namespace drainwatch::overdue_links_test {
namespace {

SocketSample link(std::uint64_t cookie, std::uint8_t host, std::uint16_t port = 8765)
{
    SocketSample s;
    s.cookie = Cookie{cookie};
    s.local = {AF_INET, {127, 0, 0, 1}, port};
    s.remote = {AF_INET, {10, 0, 0, host}, static_cast<std::uint16_t>(40000 + cookie)};
    return s;
}

TEST(OverdueLinks, TheOneOfThePeerThatHasWaitedLongest)
{
    OverdueLinks links;
    EXPECT_EQ(links.longest(link(9, 1), 1000), std::nullopt);
    links.note(link(1, 1), 300);
    links.note(link(2, 1), 200);
    links.note(link(3, 2), 100);
    links.note(link(4, 1, 8766), 50);
    EXPECT_EQ(links.longest(link(9, 1), 1000), Cookie{2});
    EXPECT_EQ(links.longest(link(9, 2), 1000), Cookie{3});
    EXPECT_EQ(links.longest(link(9, 1, 8766), 1000), Cookie{4});
    EXPECT_EQ(links.longest(link(9, 3), 1000), std::nullopt);
}

TEST(OverdueLinks, OneThatWasReadMeanwhileWaitsAnew)
{
    OverdueLinks links;
    links.note(link(1, 1), 100);
    links.note(link(2, 1), 200);
    links.note(link(1, 1), 300);
    EXPECT_EQ(links.longest(link(9, 1), 1000), Cookie{2});
    links.forget(Cookie{2});
    links.forget(Cookie{2});
    EXPECT_EQ(links.longest(link(9, 1), 1000), Cookie{1});
    links.forget(Cookie{1});
    EXPECT_EQ(links.longest(link(9, 1), 1000), std::nullopt);
}

TEST(OverdueLinks, NotTheNewOneItselfNorOneThatWasReadSince)
{
    OverdueLinks links;
    links.note(link(1, 1), 100);
    EXPECT_EQ(links.longest(link(1, 1), 1000), std::nullopt);
    EXPECT_EQ(links.longest(link(9, 1), 100), std::nullopt);
    EXPECT_EQ(links.longest(link(9, 1), 101), Cookie{1});
}

}  // namespace
}  // namespace drainwatch::overdue_links_test
