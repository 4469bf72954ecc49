#include "host/text_file.hpp"

#include <gtest/gtest.h>
#include <unistd.h>
#include <string>

namespace drainwatch::text_file_test {
namespace {

TEST(TextFile, is_read_to_its_end_or_as_far_as_is_wanted)
{
    const std::string maps = "/proc/self/maps";
    EXPECT_GT(read_text(maps).size(), 1000U);
    EXPECT_EQ(read_text(maps).back(), '\n');
    EXPECT_EQ(read_text(maps, 100).size(), 100U);
    EXPECT_EQ(read_text("/proc/self/comm", 512).back(), '\n');
}

/// Some that can be opened cannot be read: those of a process that has ended, for one.
TEST(TextFile, that_cannot_be_read_is_empty)
{
    EXPECT_EQ(read_text("/nowhere/at/all"), "");
    EXPECT_EQ(read_text("/proc/self"), "") << "a directory can be opened";
    EXPECT_EQ(read_text("/proc/self/mem"), "") << "there is nothing at address 0";
}

}  // namespace
}  // namespace drainwatch::text_file_test
