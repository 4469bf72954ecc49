#include "output/escape.hpp"

#include <gtest/gtest.h>
#include <string>

namespace drainwatch::escape_test {
namespace {

using namespace std::string_literals;

TEST(Escape, LeavesPlainTextAlone)
{
    for (const char* text : {"", "gip", "a b=\"c\"", "Zürich", "\u20ac", "\U0001f600", "~"}) {
        EXPECT_EQ(escape(text), text);
    }
}

TEST(Escape, ControlCharacters)
{
    EXPECT_EQ(escape("a\nb"), R"(a\x0ab)");
    EXPECT_EQ(escape("\x1b[31m"), R"(\x1b[31m)");
    EXPECT_EQ(escape("\0\t\r\x1f\x7f"s), R"(\x00\x09\x0d\x1f\x7f)");
    EXPECT_EQ(escape("\xc2\x80\xc2\x9b"), R"(\xc2\x80\xc2\x9b)");  // C1: CSI in eight bits
    EXPECT_EQ(escape("\xc2\xa0"), "\xc2\xa0");                     // the first that is none
}

TEST(Escape, BackslashesSoThatItCanBeUndone)
{
    EXPECT_EQ(escape("\\x41"), R"(\x5cx41)");
}

TEST(Escape, BytesThatAreNotUtf8)
{
    struct Case {
        std::string text, escaped;
    };
    for (const Case& c : {
             Case{"\xff", R"(\xff)"}, Case{"\x80", R"(\x80)"},  // continues nothing
             Case{"\xc0\xaf", R"(\xc0\xaf)"},                   // "/" in too many bytes
             Case{"\xc1\xbf", R"(\xc1\xbf)"},                   // the same
             Case{"\xe0\x9f\xbf", R"(\xe0\x9f\xbf)"},           // the same in three
             Case{"\xf0\x8f\xbf\xbf", R"(\xf0\x8f\xbf\xbf)"},   // and four
             Case{"\xed\xa0\x80", R"(\xed\xa0\x80)"},           // a surrogate
             Case{"\xf4\x90\x80\x80", R"(\xf4\x90\x80\x80)"},   // beyond U+10FFFF
             Case{"\xf5\x80\x80\x80", R"(\xf5\x80\x80\x80)"},
             Case{"\xe2\x82", R"(\xe2\x82)"},  // cut off
             Case{"\xe2\x82z", R"(\xe2\x82z)"}, Case{"\xc3z", R"(\xc3z)"},
             Case{"\xed\x9f\xbf", "\xed\x9f\xbf"},          // the last before the surrogates
             Case{"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},  // U+10FFFF
         }) {
        EXPECT_EQ(escape(c.text), c.escaped);
    }
}

}  // namespace
}  // namespace drainwatch::escape_test
