/// Whatever the registers are, the files and the processes, it comes to an end.
#include "host/user_stack.hpp"

#include "stack_target.hpp"

#include <gtest/gtest.h>
#include <array>
#include <filesystem>
#include <fstream>
#include <random>

namespace drainwatch::user_stack_garbage_test {
namespace {

using Random = std::mt19937_64;

/// Mostly near what makes sense.
std::uint64_t near(Random& random, std::uint64_t value)
{
    switch (random() % 4) {
        case 0: return random();
        case 1: return value;
        case 2: return value + random() % 4096 - 2048;
        default: return value + 8 * (random() % 64);
    }
}
TEST(UserStack, of_garbage_registers_ends)
{
    Random random(1);
    Symbols symbols;
    for (const char* name : {"stack_target", "stack_target_fp", "stack_target_static"}) {
        Sleeper sleeper(program(name), "nanosleep");
        const UserRegisters real = sleeper.all_registers();
        const auto mappings = read_code(sleeper.pid()).mappings;
        ASSERT_FALSE(mappings.empty());
        for (int i = 0; i < 300; i++) {
            const Mapping& mapping = mappings[random() % mappings.size()];
            UserRegisters registers;
            registers.ip = i % 2 == 0 ? near(random, real.ip)
                                      : mapping.begin + random() % (mapping.end - mapping.begin);
            registers.sp = near(random, real.sp);
            registers.bp = near(random, i % 3 == 0 ? real.sp : real.bp.value_or(0));
            registers.bx = near(random, real.sp);
            registers.r12 = random();
            expect_bounded(read_user_stack(sleeper.pid(), sleeper.tid(), registers, symbols));
        }
    }
}

TEST(UserStack, of_processes_that_end_and_change_meanwhile_ends)
{
    Symbols symbols;
    const Sleeper model(program("stack_target_nopie"), "own");
    const UserRegisters registers = model.ip_and_sp();
    for (int i = 0; i < 100; i++) {
        const pid_t pid = fork();
        if (pid == 0) {
            execl("/bin/true", "true", nullptr);
            _exit(127);
        }
        for (int j = 0; j < 5; j++) {
            UserRegisters now = registers;
            if (const auto mappings = read_code(id(pid)).mappings; !mappings.empty()) {
                now.ip = mappings[static_cast<std::size_t>(j) % mappings.size()].begin + 64;
            }
            expect_bounded(read_user_stack(id(pid), id(pid), now, symbols));
        }
        waitpid(pid, nullptr, 0);
    }
}

TEST(UserStack, of_corrupt_files_ends)
{
    const Directory directory;
    const std::string good = text_of(program("stack_target"));
    Random random(2);
    Symbols symbols;
    for (int i = 0; i < 400; i++) {
        std::string bytes = good;
        if (i % 8 == 7) {
            bytes.resize(64 + random() % bytes.size());
        }
        // The headers, the code and its unwind information, anywhere.
        const std::array<std::size_t, 3> reach{1024, 12 * 1024, bytes.size()};
        for (std::uint64_t changes = 1 + random() % 16; changes > 0; changes--) {
            const std::size_t place = random() % std::min(reach.at(random() % 3), bytes.size());
            bytes[place] = static_cast<char>(random() % 3 == 0 ? 0xff : random());
        }
        const std::string path = directory.file(std::to_string(i % 2));
        std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
        const MappedFile mapped(path);
        std::array<std::uint64_t, 512> stack{};
        for (std::uint64_t& word : stack) {
            word = mapped.begin() + random() % bytes.size();
        }
        for (int j = 0; j < 5; j++) {
            UserRegisters registers;
            registers.ip = mapped.begin() + random() % bytes.size();
            registers.sp = reinterpret_cast<std::uint64_t>(stack.data());
            registers.bp = registers.sp + 8 * (random() % 64);
            expect_bounded(read_user_stack(id(getpid()), id(getpid()), registers, symbols));
        }
        // Cut off while it is mapped.
        std::filesystem::resize_file(path, random() % bytes.size());
        expect_bounded(read_user_stack(id(getpid()), id(getpid()),
                                       {mapped.begin() + 64, 8, {}, {}, {}, {}, {}, {}}, symbols));
    }
}

}  // namespace
}  // namespace drainwatch::user_stack_garbage_test
