/// Which file is mapped, and whether it still is what it was.
#include "host/user_stack.hpp"

#include "host/mapped_files.hpp"
#include "stack_target.hpp"

#include <elf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/capability.h>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace drainwatch::user_stack_files_test {
namespace {

/// Takes from this thread what /proc/<pid>/map_files wants.
class WithoutMapFiles {
public:
    WithoutMapFiles() : before_(cap_get_proc())
    {
        const cap_t fewer = cap_dup(before_);
        const std::array<cap_value_t, 2> taken{CAP_SYS_ADMIN, CAP_CHECKPOINT_RESTORE};
        cap_set_flag(fewer, CAP_EFFECTIVE, taken.size(), taken.data(), CAP_CLEAR);
        EXPECT_EQ(cap_set_proc(fewer), 0);
        cap_free(fewer);
    }
    WithoutMapFiles(const WithoutMapFiles&) = delete;
    WithoutMapFiles& operator=(const WithoutMapFiles&) = delete;
    ~WithoutMapFiles()
    {
        cap_set_proc(before_);
        cap_free(before_);
    }

private:
    cap_t before_;
};

TEST(UserStack, finds_files_by_their_paths)
{
    Sleeper sleeper(program("stack_target"), "nanosleep");
    const UserRegisters registers = sleeper.all_registers();
    const WithoutMapFiles without;
    expect_whole(stack_of(sleeper, registers), kToMain);
}

TEST(UserStack, another_file_of_that_name_is_not_taken)
{
    const Directory directory;
    std::filesystem::copy(program("stack_target"), directory.file("program"));
    Sleeper sleeper(directory.file("program"), "own");
    const UserRegisters registers = sleeper.all_registers();
    std::filesystem::remove(directory.file("program"));
    // What the kernel says that its path is.
    std::filesystem::copy(program("stack_target_fp"), directory.file("program (deleted)"));
    {
        const WithoutMapFiles without;
        const UserStack stack = stack_of(sleeper, registers);
        ASSERT_EQ(stack.frames.size(), 1U) << shown(stack);
        EXPECT_TRUE(stack.frames[0].starts_with("program (deleted)+0x")) << shown(stack);
        EXPECT_TRUE(has_reason(stack, "cannot be opened")) << shown(stack);
    }
    const auto mappings = read_code(sleeper.pid()).mappings;
    ASSERT_FALSE(mappings.empty());
    if (access(fmt::format("/proc/{}/map_files/{:x}-{:x}", sleeper.pid(), mappings[0].begin,
                           mappings[0].end)
                   .c_str(),
               R_OK) != 0) {
        GTEST_SKIP() << "map_files may not be followed";
    }
    expect_whole(stack_of(sleeper, registers), kToMain);
}

TEST(UserStack, a_file_that_was_written_again_has_new_symbols)
{
    const Directory directory;
    const std::string path = directory.file("program");
    std::filesystem::copy(program("stack_target_stripped"), path);
    Symbols symbols;
    {
        const Sleeper sleeper(path, "own");
        const UserStack stack =
            read_user_stack(sleeper.pid(), sleeper.tid(), sleeper.ip_and_sp(), symbols);
        ASSERT_FALSE(stack.frames.empty());
        EXPECT_TRUE(stack.frames[0].starts_with("program+0x")) << shown(stack);
    }
    {
        std::ofstream(path, std::ios::binary | std::ios::trunc) << text_of(program("stack_target"));
        const Sleeper sleeper(path, "own");
        expect_whole(read_user_stack(sleeper.pid(), sleeper.tid(), sleeper.ip_and_sp(), symbols),
                     kToMain);
    }
}

std::uint64_t offset_of(const std::string& path, std::string_view function)
{
    const File file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    return find_functions(file.get(), std::array{function}).offsets.at(std::string(function));
}

void replace_all(std::string& text, std::string_view what, std::string_view by)
{
    for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size()) {
        text.replace(at, what.size(), by);
    }
}

/// Device, inode, size and time of modification stay as they are.
TEST(Symbols, are_new_of_a_file_that_was_written_again_where_it_is)
{
    const Directory directory;
    const std::string path = directory.file("library");
    std::filesystem::copy(program("stack_target"), path);
    const auto modified = std::filesystem::last_write_time(path);
    const MappedFile mapped(path);
    const std::uint64_t address = mapped.begin() + offset_of(path, "middle");
    Symbols symbols;
    EXPECT_EQ(symbols.user(id(getpid()), address), "middle");

    poll(nullptr, 0, 20);  // the kernel's clock for files goes by jiffies
    std::string bytes = text_of(path);
    replace_all(bytes, "middle", "muddle");
    std::fstream(path, std::ios::binary | std::ios::in | std::ios::out) << bytes;
    std::filesystem::last_write_time(path, modified);
    EXPECT_EQ(symbols.user(id(getpid()), address), "muddle");
}

TEST(MappedFiles, see_that_a_file_was_written_to)
{
    const Directory directory;
    const std::string path = directory.file("library");
    std::filesystem::copy(program("stack_target"), path);
    const MappedFile mapped(path);
    const auto mappings = read_code(id(getpid())).mappings;
    const Mapping* mapping = mapping_at(mappings, mapped.begin());
    ASSERT_NE(mapping, nullptr);
    MappedFiles files(id(getpid()));
    EXPECT_TRUE(files.of(*mapping));
    EXPECT_EQ(&files.of(*mapping), &files.of(*mapping));
    EXPECT_TRUE(files.are_unchanged());
    std::ofstream(path, std::ios::app) << "more";
    EXPECT_FALSE(files.are_unchanged());
}

/// Makes .debug_info as long as `bytes`, most of it a hole in the file.
void blow_up(const std::string& path, std::uint64_t bytes)
{
    std::string text = text_of(path);
    Elf64_Ehdr header{};
    std::memcpy(&header, text.data(), sizeof(header));
    std::vector<Elf64_Shdr> sections(header.e_shnum);
    const std::size_t table_bytes = sections.size() * sizeof(Elf64_Shdr);
    std::memcpy(sections.data(), text.data() + header.e_shoff, table_bytes);
    const std::uint64_t names = sections.at(header.e_shstrndx).sh_offset;
    const auto debug =
        std::find_if(sections.begin(), sections.end(), [&](const Elf64_Shdr& section) {
            return text.compare(names + section.sh_name, sizeof(".debug_info"),
                                std::string(".debug_info") + '\0') == 0;
        });
    ASSERT_NE(debug, sections.end());
    debug->sh_offset = text.size();
    debug->sh_size = bytes;
    const std::uint64_t whole = text.size() + bytes;
    std::memcpy(text.data() + header.e_shoff, sections.data(), table_bytes);
    std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
    std::filesystem::resize_file(path, whole);
}

/// By this thread.
std::uint64_t bytes_read()
{
    std::ifstream file("/proc/thread-self/io");
    std::string key;
    std::uint64_t bytes = 0;
    file >> key >> bytes;
    return key == "rchar:" ? bytes : 0;
}

TEST(UserStack, of_a_huge_file_reads_what_it_needs)
{
    if (bytes_read() == 0) {
        GTEST_SKIP() << "the kernel does not count what is read";
    }
    const Directory directory;
    const std::string path = directory.file("program");
    std::filesystem::copy(program("stack_target"), path);
    blow_up(path, std::uint64_t{1} << 30);
    Sleeper sleeper(path);
    const UserRegisters registers = sleeper.all_registers();
    const std::uint64_t before = bytes_read();
    expect_whole(stack_of(sleeper, registers), kToMain);
    EXPECT_LT(bytes_read() - before, std::uint64_t{4} << 20);
}

TEST(ElfSymbols, a_table_that_is_too_long_is_as_if_it_was_not_there)
{
    const std::string path = program("stack_target");
    const File file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    const std::uint64_t middle = offset_of(path, "middle");
    EXPECT_EQ(ElfSymbols(file.get()).at(middle), "middle");
    EXPECT_GT(ElfSymbols(file.get()).bytes(), 1000U);
    EXPECT_EQ(ElfSymbols(file.get(), 1000).at(middle), std::nullopt);
    EXPECT_LT(ElfSymbols(file.get(), 1000).bytes(), 1500U);
}

}  // namespace
}  // namespace drainwatch::user_stack_files_test
