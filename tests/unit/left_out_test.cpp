#include "poll/left_out.hpp"

#include <gtest/gtest.h>

namespace drainwatch {
namespace {

constexpr Cookie kSocket{7};

TEST(LeftOut, IsToldOfOnceWhenThereIsUnreadData)
{
    LeftOut left;
    EXPECT_FALSE(left.add(kSocket, 1, false, false));
    left.begin_look();
    EXPECT_TRUE(left.add(kSocket, 1, true, false));
    left.begin_look();
    EXPECT_FALSE(left.add(kSocket, 1, true, false));
    left.begin_look();
    left.keep(kSocket);
    left.begin_look();
    EXPECT_FALSE(left.add(kSocket, 1, true, false));
    left.begin_look();  // it has got a place
    left.begin_look();
    EXPECT_TRUE(left.add(kSocket, 1, true, false));
}

TEST(LeftOut, OneThatHadAPlaceIsNotNew)
{
    LeftOut left;
    EXPECT_EQ(left.before(kSocket), nullptr);
    left.give_up(kSocket, 42);
    left.begin_look();
    ASSERT_NE(left.before(kSocket), nullptr);
    EXPECT_EQ(left.before(kSocket)->owner, 42U);
    EXPECT_FALSE(left.before(kSocket)->is_new);
    EXPECT_TRUE(left.add(kSocket, 42, true, true));
    left.begin_look();
    EXPECT_FALSE(left.before(kSocket)->is_new);
}

TEST(LeftOut, IsNewOrNotAsItWasAtFirst)
{
    for (const bool is_new : {true, false}) {
        LeftOut left;
        (void)left.add(kSocket, 42, false, is_new);
        left.begin_look();
        EXPECT_EQ(left.before(kSocket)->is_new, is_new);
        (void)left.add(kSocket, 42, true, true);
        left.begin_look();
        left.keep(kSocket);
        left.begin_look();
        EXPECT_EQ(left.before(kSocket)->is_new, is_new);
    }
}

}  // namespace
}  // namespace drainwatch
