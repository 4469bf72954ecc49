#include "poll/left_out.hpp"

#include <gtest/gtest.h>

namespace drainwatch::left_out_test {
namespace {

constexpr Cookie kSocket{7};

TEST(LeftOut, IsToldOfOnceWhenThereIsUnreadData)
{
    LeftOut left;
    EXPECT_FALSE(left.add(kSocket, 1, false, 0));
    left.begin_look();
    EXPECT_TRUE(left.add(kSocket, 1, true, 0));
    left.begin_look();
    EXPECT_FALSE(left.add(kSocket, 1, true, 0));
    left.begin_look();
    left.keep(kSocket);
    left.begin_look();
    EXPECT_FALSE(left.add(kSocket, 1, true, 0));
    left.begin_look();  // it has got a place
    left.begin_look();
    EXPECT_TRUE(left.add(kSocket, 1, true, 0));
}

TEST(LeftOut, OneThatHadAPlaceIsNotNew)
{
    LeftOut left;
    EXPECT_EQ(left.before(kSocket), nullptr);
    left.give_up(kSocket, 42);
    left.begin_look();
    ASSERT_NE(left.before(kSocket), nullptr);
    EXPECT_EQ(left.before(kSocket)->owner, 42U);
    EXPECT_EQ(left.before(kSocket)->found_ns, 0U);
    EXPECT_TRUE(left.add(kSocket, 42, true, 1000));
    left.begin_look();
    EXPECT_EQ(left.before(kSocket)->found_ns, 0U);
}

TEST(LeftOut, IsAsNewAsItWasAtFirst)
{
    for (const std::uint64_t found_ns : {0U, 1000U}) {
        LeftOut left;
        (void)left.add(kSocket, 42, false, found_ns);
        left.begin_look();
        EXPECT_EQ(left.before(kSocket)->found_ns, found_ns);
        (void)left.add(kSocket, 42, true, 2000);
        left.begin_look();
        left.keep(kSocket);
        left.begin_look();
        EXPECT_EQ(left.before(kSocket)->found_ns, found_ns);
    }
}

TEST(LeftOut, ALookThatFailsForgetsNothing)
{
    constexpr Cookie kOther{8};
    LeftOut left;
    (void)left.add(kSocket, 42, true, 1000);
    (void)left.add(kOther, 42, false, 1000);
    left.begin_look();
    (void)left.add(kOther, 42, true, 2000);
    left.keep_all();
    left.begin_look();
    ASSERT_NE(left.before(kSocket), nullptr);
    EXPECT_EQ(left.before(kSocket)->found_ns, 1000U);
    EXPECT_FALSE(left.add(kSocket, 42, true, 3000)) << "it was told of";
    ASSERT_NE(left.before(kOther), nullptr);
    EXPECT_TRUE(left.before(kOther)->had_unread);
}

}  // namespace
}  // namespace drainwatch::left_out_test
