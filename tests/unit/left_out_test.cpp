#include "poll/left_out.hpp"

#include <gtest/gtest.h>

namespace drainwatch {
namespace {

constexpr Cookie kSocket{7};

TEST(LeftOut, IsToldOfOnceWhenThereIsUnreadData)
{
    LeftOut left;
    EXPECT_FALSE(left.add(kSocket, 1, false));
    left.begin_look();
    EXPECT_TRUE(left.add(kSocket, 1, true));
    left.begin_look();
    EXPECT_FALSE(left.add(kSocket, 1, true));
    left.begin_look();
    left.keep(kSocket);
    left.begin_look();
    EXPECT_FALSE(left.add(kSocket, 1, true));
    left.begin_look();  // it has got a place
    left.begin_look();
    EXPECT_TRUE(left.add(kSocket, 1, true));
}

TEST(LeftOut, KnowsWhoHadAPlace)
{
    LeftOut left;
    EXPECT_EQ(left.before(kSocket), nullptr);
    left.give_up(kSocket, 42);
    left.begin_look();
    ASSERT_NE(left.before(kSocket), nullptr);
    EXPECT_EQ(left.before(kSocket)->owner, 42U);
    EXPECT_TRUE(left.before(kSocket)->was_followed);
    EXPECT_TRUE(left.add(kSocket, 42, true));
    left.begin_look();
    EXPECT_TRUE(left.before(kSocket)->was_followed);

    constexpr Cookie kNew{8};
    (void)left.add(kNew, 42, false);
    left.begin_look();
    EXPECT_FALSE(left.before(kNew)->was_followed);
}

}  // namespace
}  // namespace drainwatch
