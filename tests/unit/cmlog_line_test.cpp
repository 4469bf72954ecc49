#include "cmlog/line.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

namespace drainwatch::cmlog::cmlog_line_test {
namespace {

const std::string kIncident =
    "20180831:042741508:324287511:gip(29543):MED:[ IP_PROC_ERR: pro=7204, err=203, seq=24085, "
    "da1=3(0x3), da2=10.x.x.x]";

TEST(CmLogLine, ThatOfTheIncident)
{
    const auto entry = parse(kIncident);
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->time.year, 2018);
    EXPECT_EQ(entry->time.month, 8);
    EXPECT_EQ(entry->time.day, 31);
    EXPECT_EQ(entry->time.hour, 4);
    EXPECT_EQ(entry->time.minute, 27);
    EXPECT_EQ(entry->time.second, 41);
    EXPECT_EQ(entry->time.millisecond, 508);
    EXPECT_EQ(entry->process.comm, "gip");
    EXPECT_EQ(entry->process.pid, 29543U);
    EXPECT_EQ(entry->level, "MED");
    ASSERT_TRUE(entry->error);
    EXPECT_EQ(entry->error->tag, "IP_PROC_ERR");
    EXPECT_EQ(entry->error->pro, 7204U);
    EXPECT_EQ(entry->error->err, 203U);
    EXPECT_EQ(entry->error->seq, 24085U);
    EXPECT_EQ(std::get<std::uint64_t>(entry->error->da1), 3U);
    EXPECT_EQ(to_string(entry->error->da2), "10.x.x.x");
}

TEST(CmLogLine, OtherBodiesAreOfTheLogAllTheSame)
{
    const std::string head = "20180831:042741508:1:capro(1):HIGH:[";
    for (const std::string body :
         {"]", " ]", "nothing known]", " IP_PROC_ERR: pro=7204]",
          " IP_PROC_ERR: pro=7204, err=203, seq=1, da1=3(0x4), da2=1.2.3.4]",
          " IP_PROC_ERR: pro=7204, err=203, seq=1, da1=3, da2=1.2.3.4]",
          " IP_PROC_ERR: pro=7204, err=203, seq=1, da1=3(0x3), da2=1.2.3.4, da3=1]",
          " IP_PROC_ERR: pro=-1, err=203, seq=1, da1=3(0x3), da2=1.2.3.4]",
          " IP_PROC_ERR: pro=99999999999999999999, err=203, seq=1, da1=3(0x3), da2=1.2.3.4]"}) {
        const auto entry = parse(head + body);
        ASSERT_TRUE(entry) << body;
        EXPECT_FALSE(entry->error) << body;
    }
}

TEST(CmLogLine, WhatIsNoLine)
{
    EXPECT_FALSE(parse(""));
    EXPECT_FALSE(parse("]"));
    for (std::size_t length = 0; length < kIncident.size(); length++) {
        EXPECT_FALSE(parse(std::string_view(kIncident).substr(0, length))) << length;
    }
    EXPECT_FALSE(parse("x" + kIncident));
    EXPECT_FALSE(parse(kIncident + "x"));
    EXPECT_TRUE(parse(kIncident + "\r\n"));
    EXPECT_FALSE(parse("20180831:042741508:1:(1):MED:[]")) << "a process has a name";
    EXPECT_FALSE(parse("20180831:042741508:1:gip(4294967296):MED:[]"));
    EXPECT_FALSE(parse("20180831:042741508:1:gip(1):med:[]"));
}

Endpoint v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d)
{
    return {AF_INET, {a, b, c, d}, 8765};
}

TEST(AddressPattern, StruckOutOctetsMatchAny)
{
    const auto pattern = AddressPattern::parse("10.xxx.X.7");
    ASSERT_TRUE(pattern);
    EXPECT_TRUE(pattern->matches(v4(10, 1, 2, 7)));
    EXPECT_FALSE(pattern->matches(v4(10, 1, 2, 8)));
    EXPECT_FALSE(pattern->matches(v4(11, 1, 2, 7)));
    EXPECT_EQ(pattern->text(), "10.x.x.7");
}

TEST(AddressPattern, MatchesV4MappedButNoOtherIpv6)
{
    const auto pattern = AddressPattern::parse("10.1.2.3");
    Endpoint mapped{AF_INET6, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3}, 1};
    EXPECT_TRUE(pattern->matches(mapped));
    mapped.address[0] = 10;
    EXPECT_FALSE(pattern->matches(mapped));
    EXPECT_FALSE(pattern->matches({AF_INET6, {10, 1, 2, 3}, 1}));
}

TEST(AddressPattern, WhatIsNone)
{
    for (const char* text : {"", "1", "1.2.3", "1.2.3.4.5", "1.2.3.", "1.2..4", "1.2.3.256",
                             "1.2.3.-4", "1.2.3.y", "1.2.3.4 ", " 1.2.3.4"}) {
        EXPECT_FALSE(AddressPattern::parse(text)) << text;
    }
}

}  // namespace
}  // namespace drainwatch::cmlog::cmlog_line_test
