#include "host/demangle.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace drainwatch::demangle_test {
namespace {

/// A function of N parameters, each a pair of the one before: 2^N words.
std::string doubling(int times)
{
    constexpr std::string_view kNumbers = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    std::string name = "_Z1f1PIiiE";
    for (int i = 0; i < times; i++) {
        const char number = kNumbers[static_cast<std::size_t>(i)];
        name += fmt::format("S_IS{}_S{}_E", number, number);
    }
    return name;
}

TEST(Demangle, names_of_cpp)
{
    EXPECT_EQ(demangled("_ZN10drainwatch1fEi"), "drainwatch::f(int)");
    EXPECT_EQ(demangled("_ZNSt6vectorIiSaIiEE9push_backERKi"),
              "std::vector<int, std::allocator<int> >::push_back(int const&)");
    EXPECT_EQ(demangled("tcp_recvmsg"), "tcp_recvmsg");
    EXPECT_EQ(demangled("_ZN"), "_ZN");
    EXPECT_EQ(demangled(""), "");
}

TEST(Demangle, names_that_refer_to_themselves_do_not_grow_beyond_bounds)
{
    EXPECT_EQ(demangled(doubling(2)),
              "f(P<int, int>, P<P<int, int>, P<int, int> >, P<P<P<int, int>, P<int, int> >, "
              "P<P<int, int>, P<int, int> > >)");
    EXPECT_EQ(demangled(doubling(8)).size(), kLongestName);
    EXPECT_EQ(demangled(doubling(36)), doubling(36));
}

TEST(Demangle, nor_do_those_that_expand_packs_within_packs)
{
    const std::string pack(60, 'i');
    const auto nested = [&](int levels) {
        std::string name = "_Z1fIJ" + pack + "EEvDp1PIT_";
        for (int i = 1; i < levels; i++) {
            name += "Dp1PIT_";
        }
        return name + std::string(static_cast<std::size_t>(levels), 'E');
    };
    EXPECT_TRUE(demangled(nested(1)).starts_with("void f<int, int,")) << demangled(nested(1));
    EXPECT_EQ(demangled(nested(5)), nested(5));
}

TEST(Demangle, long_names_are_cut)
{
    const std::string longest(kLongestName, 'a');
    EXPECT_EQ(demangled(longest), longest);
    EXPECT_EQ(demangled(longest + 'a'), std::string(kLongestName - 3, 'a') + "...");
    EXPECT_EQ(demangled(std::string(std::size_t{1} << 25, 'a')).size(), kLongestName);
}

}  // namespace
}  // namespace drainwatch::demangle_test
