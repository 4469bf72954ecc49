#include "app/share.hpp"

#include <gtest/gtest.h>

namespace drainwatch::share_test {
namespace {

TEST(Share, IsWrittenInPercent)
{
    EXPECT_DOUBLE_EQ(parse_share("1%").value(), 0.01);
    EXPECT_DOUBLE_EQ(parse_share("0.5%").value(), 0.005);
    EXPECT_DOUBLE_EQ(parse_share("100%").value(), 1);
    EXPECT_DOUBLE_EQ(parse_share("0").value(), 0);
    EXPECT_DOUBLE_EQ(parse_share("0%").value(), 0);
}

TEST(Share, AnythingElseIsNamed)
{
    for (const std::string text : {"", "1", "-1%", "101%", "1 %", "%", "one", "nan%", "1%%"}) {
        const auto share = parse_share(text);
        ASSERT_FALSE(share) << text;
        EXPECT_NE(share.error().message.find("\"" + text + "\""), std::string::npos);
    }
}

TEST(Share, InWords)
{
    EXPECT_EQ(percent(0.01), "1 %");
    EXPECT_EQ(percent(0.04567), "4.57 %");
}

}  // namespace
}  // namespace drainwatch::share_test
