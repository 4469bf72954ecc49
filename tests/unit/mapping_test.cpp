#include "host/mapping.hpp"

#include <gtest/gtest.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace drainwatch::mapping_test {
namespace {

std::uint32_t own_pid()
{
    return static_cast<std::uint32_t>(getpid());
}

TEST(Maps, only_what_can_hold_code)
{
    const auto mappings = parse_maps(
        "55d0c8a00000-55d0c8a02000 r--p 00000000 fe:01 1234    /usr/bin/cat\n"
        "55d0c8a02000-55d0c8a21000 r-xp 00002000 fe:01 1234    /usr/bin/with space (deleted)\n"
        "7f0000000000-7f0000001000 rwxp 00000000 00:00 0 \n"
        "garbage\n"
        "\n"
        "7f0000002000-7f0000001000 r-xp 0000\n"
        "7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0       [vdso]\n"
        "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0       [vsyscall]");
    ASSERT_EQ(mappings.size(), 4U);
    const Mapping with_space{0x55d0c8a02000,   0x55d0c8a21000, 0x2000,
                             makedev(0xfe, 1), 1234,           "/usr/bin/with space (deleted)"};
    EXPECT_EQ(mappings[0], with_space);
    EXPECT_EQ(mappings[0].file_name(), "with space (deleted)");
    EXPECT_EQ(mappings[1].path, "");
    EXPECT_EQ(mappings[2].path, "[vdso]");
    EXPECT_EQ(mappings[3].begin, 0xffffffffff600000);
    EXPECT_EQ(mapping_at(mappings, 0x55d0c8a20fff), &mappings[0]);
    EXPECT_EQ(mapping_at(mappings, 0x55d0c8a21000), nullptr);
}

TEST(Maps, files_of_other_subvolumes_are_others)
{
    const Mapping one{0x1000, 0x2000, 0, 7, 1234, "/a"};
    Mapping other{0x8000, 0x9000, 0x1000, 7, 1234, "/a"};
    EXPECT_TRUE(one.same_file(other));
    other.path = "/snapshot/a";
    EXPECT_FALSE(one.same_file(other));
}

TEST(Maps, are_read_within_a_time)
{
    EXPECT_FALSE(read_code(own_pid(), own_pid(), 0));
    const auto code = read_code(own_pid(), own_pid());
    ASSERT_TRUE(code);
    EXPECT_FALSE(code->empty());
}

TEST(Maps, of_what_is_no_thread_of_it_there_are_none)
{
    EXPECT_TRUE(read_code(own_pid(), 1)->empty());
    EXPECT_TRUE(read_code(0x7fffffff).mappings.empty());
}

}  // namespace
}  // namespace drainwatch::mapping_test
