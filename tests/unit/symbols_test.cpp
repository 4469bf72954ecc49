#include "host/symbols.hpp"

#include "host/file.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <fstream>
#include <iterator>

namespace drainwatch {

/// Has a name that the linker keeps, in C++.
[[gnu::noinline]] int a_function_to_be_found(int x)
{
    return x + 1;
}

}  // namespace drainwatch

namespace drainwatch::symbols_test {
namespace {

std::uint64_t address_of(int (*function)(int))
{
    return reinterpret_cast<std::uint64_t>(function);
}

TEST(ElfSymbols, finds_a_function_by_its_place_in_the_file)
{
    const File self(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    const ElfSymbols symbols(self.get());
    std::ifstream maps("/proc/self/maps");
    const std::string text(std::istreambuf_iterator<char>(maps), {});
    const std::uint64_t address = address_of(a_function_to_be_found);
    for (const Mapping& mapping : parse_maps(text)) {
        if (address >= mapping.begin && address < mapping.end) {
            const auto name = symbols.at(address - mapping.begin + mapping.offset);
            EXPECT_EQ(name, "drainwatch::a_function_to_be_found(int)");
            return;
        }
    }
    FAIL() << "the function is not mapped";
}

TEST(ElfSymbols, of_what_is_no_elf_file_nothing_is_known)
{
    const File text(open(DRAINWATCH_SOURCE "/README.md", O_RDONLY | O_CLOEXEC));
    EXPECT_FALSE(ElfSymbols(text.get()).at(0));
    EXPECT_FALSE(ElfSymbols(-1).at(0));
    EXPECT_FALSE(ElfSymbols().at(0));
}

TEST(Symbols, never_guess)
{
    Symbols symbols;
    EXPECT_EQ(symbols.user(static_cast<std::uint32_t>(getpid()), 8), "[unknown]");
    EXPECT_EQ(symbols.user(0x7fffffff, address_of(a_function_to_be_found)), "[unknown]");
    EXPECT_EQ(symbols.kernel(8), "[unknown]");
}

}  // namespace
}  // namespace drainwatch::symbols_test
