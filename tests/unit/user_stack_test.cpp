#include "host/user_stack.hpp"

#include "host/threads.hpp"

#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <csignal>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>

namespace drainwatch {
namespace {

using namespace std::chrono_literals;

/// A variant of sleeper.cpp, asleep.
class Sleeper {
public:
    explicit Sleeper(const std::string& variant) : pid_(fork())
    {
        if (pid_ == 0) {
            const std::string path = std::string(DRAINWATCH_SLEEPERS) + "/sleeper_" + variant;
            execl(path.c_str(), path.c_str(), nullptr);
            _exit(127);
        }
        for (int i = 0; i < 1000; i++) {
            const auto call = proc::call(pid());
            if (call && call->number == SYS_pause) {
                return;
            }
            std::this_thread::sleep_for(2ms);
        }
        throw std::runtime_error("it does not sleep");
    }
    ~Sleeper()
    {
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
    }
    Sleeper(const Sleeper&) = delete;
    Sleeper& operator=(const Sleeper&) = delete;

    [[nodiscard]] std::uint32_t pid() const { return static_cast<std::uint32_t>(pid_); }

    /// What /proc tells of them.
    [[nodiscard]] UserRegisters some_registers() const
    {
        const auto call = proc::call(pid());
        return {call->ip, call->sp, {}, {}, {}, {}, {}, {}};
    }

    /// All, by stopping it for a moment.
    [[nodiscard]] UserRegisters registers() const
    {
        user_regs_struct r{};
        if (ptrace(PTRACE_SEIZE, pid_, nullptr, nullptr) != 0 ||
            ptrace(PTRACE_INTERRUPT, pid_, nullptr, nullptr) != 0 ||
            waitpid(pid_, nullptr, 0) != pid_ || ptrace(PTRACE_GETREGS, pid_, nullptr, &r) != 0 ||
            ptrace(PTRACE_DETACH, pid_, nullptr, nullptr) != 0) {
            throw std::runtime_error("it cannot be traced");
        }
        return {r.rip, r.rsp, r.rbp, r.rbx, r.r12, r.r13, r.r14, r.r15};
    }

    [[nodiscard]] UserStack stack(const UserRegisters& registers) const
    {
        Symbols symbols;
        return read_user_stack(pid(), pid(), registers, symbols);
    }

private:
    pid_t pid_;
};

using Names = std::vector<std::string>;

/// What lies between the C library's pause and its start of main.
Names own_frames(const Names& frames, const std::string& first)
{
    const auto begin = std::find_if(frames.begin(), frames.end(), [&](const std::string& name) {
        return name.starts_with(first);
    });
    return {begin, frames.end() - begin < 4 ? frames.end() : begin + 4};
}

const Names kChain{"inner", "middle", "outer", "main"};

class UserStackOf : public ::testing::TestWithParam<const char*> {};

TEST_P(UserStackOf, is_whole_by_all_registers)
{
    const Sleeper sleeper(GetParam());
    const UserStack stack = sleeper.stack(sleeper.registers());
    EXPECT_EQ(own_frames(stack.frames, "inner"), kChain);
    EXPECT_EQ(stack.incomplete, "");
    EXPECT_EQ(stack.frames.back(), "_start");
}

INSTANTIATE_TEST_SUITE_P(, UserStackOf,
                         testing::Values("with_frame_pointers", "without_frame_pointers",
                                         "not_position_independent", "static"),
                         [](const auto& test) { return std::string(test.param); });

/// Without tables of symbols, what can be said is where in the file it is.
TEST(UserStack, of_a_stripped_program_has_places_in_the_file)
{
    const Sleeper sleeper("stripped");
    const UserStack stack = sleeper.stack(sleeper.registers());
    const Names own = own_frames(stack.frames, "sleeper_stripped+0x");
    ASSERT_EQ(own.size(), 4U);
    for (const std::string& name : own) {
        EXPECT_TRUE(name.starts_with("sleeper_stripped+0x")) << name;
    }
    EXPECT_EQ(stack.incomplete, "");
}

/// By the stack pointer alone: frames that are found from it are told, and no other is guessed.
TEST(UserStack, by_two_registers_goes_as_far_as_they_lead)
{
    const Sleeper without("without_frame_pointers");
    const UserStack whole = without.stack(without.some_registers());
    EXPECT_EQ(own_frames(whole.frames, "inner"), kChain);

    const Sleeper with("with_frame_pointers");
    const UserStack part = with.stack(with.some_registers());
    ASSERT_FALSE(part.frames.empty());
    EXPECT_EQ(part.frames.back(), "inner");
    EXPECT_EQ(part.incomplete, "who called inner is not known");
}

TEST(UserStack, of_a_process_that_has_ended_is_empty)
{
    UserRegisters registers;
    std::uint32_t pid = 0;
    {
        const Sleeper sleeper("static");
        registers = sleeper.registers();
        pid = sleeper.pid();
    }
    Symbols symbols;
    const UserStack stack = read_user_stack(pid, pid, registers, symbols);
    for (const std::string& name : stack.frames) {
        EXPECT_EQ(name, "[unknown]");
    }
    EXPECT_NE(stack.incomplete, "");
}

/// Whatever the registers are, it comes to an end.
TEST(UserStack, of_garbage_comes_to_an_end)
{
    const Sleeper sleeper("with_frame_pointers");
    const UserRegisters real = sleeper.registers();
    Symbols symbols;
    std::mt19937_64 random(1);
    for (int i = 0; i < 300; i++) {
        UserRegisters registers = real;
        for (std::uint64_t* value :
             {&registers.ip, &registers.sp, &*registers.bp, &*registers.bx}) {
            switch (random() % 4) {
                case 0: *value = random(); break;
                case 1: *value += random() % 512; break;
                case 2: *value = random() % 2 != 0 ? 0 : ~0ULL; break;
                default: break;
            }
        }
        const UserStack stack = read_user_stack(sleeper.pid(), sleeper.pid(), registers, symbols);
        EXPECT_LE(stack.frames.size(), 64U);
    }
}

}  // namespace
}  // namespace drainwatch
