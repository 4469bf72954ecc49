/// Against children of the test that sleep at the end of a chain of calls which is known.
#include "host/user_stack.hpp"

#include "host/file.hpp"
#include "stack_target.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <array>

namespace drainwatch::user_stack_test {
namespace {

struct Kind {
    std::string program;
    std::string way;
};

class UserStackOf : public testing::TestWithParam<Kind> {};

TEST_P(UserStackOf, names_every_function_by_all_registers)
{
    Sleeper sleeper(program(GetParam().program), GetParam().way);
    expect_whole(stack_of(sleeper, sleeper.all_registers()), kToMain);
}

TEST_P(UserStackOf, is_right_or_says_that_it_ends_by_ip_and_sp)
{
    const Sleeper sleeper(program(GetParam().program), GetParam().way);
    const UserStack stack = stack_of(sleeper, sleeper.ip_and_sp());
    const bool wants_bp = GetParam().program == "stack_target_fp";
    // A function of the library may have kept rbp on the stack.
    if (!wants_bp || (GetParam().way != "own" && stack.incomplete.empty())) {
        expect_whole(stack, kToMain);
        return;
    }
    EXPECT_TRUE(has_reason(stack, "rbp is not known")) << shown(stack);
    ASSERT_FALSE(stack.frames.empty());
    EXPECT_EQ(stack.frames.back(), "inner") << shown(stack);
}

std::vector<Kind> kinds()
{
    std::vector<Kind> kinds;
    for (const char* name :
         {"stack_target", "stack_target_fp", "stack_target_nopie", "stack_target_static"}) {
        for (const char* way : {"nanosleep", "poll", "futex", "own"}) {
            kinds.push_back({name, way});
        }
    }
    return kinds;
}

INSTANTIATE_TEST_SUITE_P(Programs, UserStackOf, testing::ValuesIn(kinds()), [](const auto& kind) {
    return kind.param.program + "_" + kind.param.way;
});

TEST(UserStack, a_stripped_file_has_offsets_for_names)
{
    Sleeper sleeper(program("stack_target_stripped"), "nanosleep");
    const UserStack stack = stack_of(sleeper, sleeper.all_registers());
    EXPECT_EQ(stack.incomplete, "");
    // The same file with its symbols.
    const File twin(open(program("stack_target").c_str(), O_RDONLY | O_CLOEXEC));
    const ElfSymbols symbols(twin.get());
    const std::string prefix = "stack_target_stripped+0x";
    Names named;
    for (const std::string& frame : stack.frames) {
        if (frame.starts_with(prefix)) {
            named.push_back(
                symbols.at(std::stoull(frame.substr(prefix.size()), nullptr, 16)).value_or("?"));
        }
    }
    EXPECT_EQ(named, (Names{"inner", "middle", "outer", "main", "_start"})) << shown(stack);
}

TEST(UserStack, without_unwind_information_it_ends)
{
    Sleeper sleeper(program("stack_target_no_tables"), "own");
    const UserStack stack = stack_of(sleeper, sleeper.all_registers());
    EXPECT_EQ(stack.frames, Names{"inner"});
    EXPECT_EQ(stack.incomplete, "stack_target_no_tables: no unwind information");
}

TEST(UserStack, of_a_thread_ends_where_the_thread_began)
{
    for (const char* where : {"thread", "orphan"}) {
        Sleeper sleeper(program("stack_target"), "nanosleep", where);
        EXPECT_NE(sleeper.pid(), sleeper.tid());
        const UserStack stack = stack_of(sleeper, sleeper.all_registers());
        expect_chain(stack, {"inner", "middle", "outer", "in_thread"});
        EXPECT_EQ(stack.incomplete, "") << shown(stack);
        EXPECT_EQ(count_of(stack.frames, "main"), 0) << shown(stack);
    }
}

/// Whoever knows the process alone finds its code all the same.
TEST(Symbols, are_those_of_a_process_whose_first_thread_has_ended)
{
    const Sleeper sleeper(program("stack_target"), "own", "orphan");
    Symbols symbols;
    EXPECT_EQ(symbols.user(sleeper.pid(), sleeper.ip_and_sp().ip), "inner");
}

TEST(UserStack, goes_through_the_handler_of_a_signal)
{
    for (const char* name : {"stack_target", "stack_target_static"}) {
        Sleeper sleeper(program(name), "nanosleep", "signal");
        const UserStack stack = stack_of(sleeper, sleeper.all_registers());
        expect_whole(stack, {"inner", "middle", "outer", "in_handler"});
        EXPECT_EQ(count_of(stack.frames, "main"), 1) << shown(stack);
    }
}

TEST(UserStack, names_the_caller_of_what_does_not_return)
{
    Sleeper sleeper(program("stack_target"), "nanosleep", "noreturn");
    expect_whole(stack_of(sleeper, sleeper.all_registers()),
                 {"inner", "middle", "outer", "never_returns", "begins_there", "main"});
}

TEST(UserStack, has_a_bound_and_says_so)
{
    Sleeper sleeper(program("stack_target"), "nanosleep", "deep");
    const UserStack stack = stack_of(sleeper, sleeper.all_registers());
    expect_chain(stack, {"inner", "middle", "outer"});
    EXPECT_EQ(stack.frames.size(), kMostUserFrames);
    EXPECT_EQ(stack.frames.back(), "recursive");
    EXPECT_TRUE(has_reason(stack, "more than 64")) << shown(stack);
}

TEST(UserStack, has_a_limit_of_time_and_says_so)
{
    Sleeper sleeper(program("stack_target"), "nanosleep");
    Symbols symbols;
    const UserStack stack =
        read_user_stack(sleeper.pid(), sleeper.tid(), sleeper.all_registers(), symbols, 0);
    EXPECT_TRUE(stack.frames.empty());
    EXPECT_TRUE(has_reason(stack, "no time left")) << shown(stack);
}

TEST(UserStack, of_what_has_ended_is_empty)
{
    Sleeper sleeper(program("stack_target"), "nanosleep");
    const std::uint32_t pid = sleeper.pid();
    const UserRegisters registers = sleeper.ip_and_sp();
    sleeper.end();
    Symbols symbols;
    const UserStack stack = read_user_stack(pid, pid, registers, symbols);
    EXPECT_TRUE(stack.frames.empty());
    EXPECT_EQ(stack.incomplete, "the thread has ended");
    EXPECT_EQ(stack.missing(), "user stack: the thread has ended");
}

TEST(UserStack, says_what_is_missing)
{
    EXPECT_EQ(UserStack({{"inner"}, ""}).missing(), "");
    EXPECT_EQ(UserStack({{"inner"}, "no time left"}).missing(),
              "rest of the user stack: no time left");
}

TEST(UserStack, names_no_function_of_what_is_no_file)
{
    const Sleeper sleeper(program("stack_target"), "own");
    const auto mappings = read_code(sleeper.pid()).mappings;
    const auto vdso = std::find_if(mappings.begin(), mappings.end(),
                                   [](const Mapping& mapping) { return mapping.path == "[vdso]"; });
    ASSERT_NE(vdso, mappings.end());
    UserRegisters registers = sleeper.ip_and_sp();
    registers.ip = vdso->begin + 0x600;
    const UserStack stack = stack_of(sleeper, registers);
    EXPECT_EQ(stack.frames, Names{"[vdso]+0x600"});
    EXPECT_EQ(stack.incomplete, "[vdso]: this is no file");
}

TEST(UserStack, of_a_32_bit_program_says_so)
{
    const std::string path = program("stack_target_32");
    if (access(path.c_str(), X_OK) != 0) {
        GTEST_SKIP() << "no 32-bit program could be made";
    }
    const pid_t pid = fork();
    if (pid == 0) {
        execl(path.c_str(), path.c_str(), nullptr);
        _exit(127);
    }
    constexpr auto kPause = "29 ";
    for (int i = 0; i < 1000; i++) {
        poll(nullptr, 0, 1);
        if (text_of(fmt::format("/proc/{}/syscall", pid)).starts_with(kPause)) {
            break;
        }
    }
    Symbols symbols;
    int status = 0;
    if (waitpid(pid, &status, WNOHANG) != 0) {
        GTEST_SKIP() << "the kernel runs no 32-bit programs";
    }
    const UserStack stack = read_user_stack(id(pid), id(pid), {}, symbols);
    EXPECT_TRUE(stack.frames.empty()) << shown(stack);
    EXPECT_EQ(stack.missing(), "user stack: a 32-bit program");
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
}

TEST(UserStack, sees_that_a_process_runs_another_program)
{
    std::array<int, 2> go{};
    ASSERT_EQ(pipe2(go.data(), O_CLOEXEC), 0);
    const std::string path = program("stack_target_nopie");
    const pid_t pid = fork();
    if (pid == 0) {
        char byte = 0;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)!read(go[0], &byte, 1);
        execl(path.c_str(), path.c_str(), "own", nullptr);
        _exit(127);
    }
    Symbols symbols;
    const Sleeper other(path, "own");
    // Is remembered, and would be wrong afterwards: the file lies elsewhere.
    EXPECT_EQ(symbols.user(id(pid), other.ip_and_sp().ip), "[unknown]");
    ASSERT_EQ(write(go[1], "x", 1), 1);
    UserStack stack;
    for (int i = 0; i < 10'000 && stack.frames.empty(); i++) {
        poll(nullptr, 0, 1);
        if (text_of(fmt::format("/proc/{}/syscall", pid)).starts_with(call_of("own"))) {
            stack = read_user_stack(id(pid), id(pid),
                                    {other.ip_and_sp().ip, 0, {}, {}, {}, {}, {}, {}}, symbols);
        }
    }
    EXPECT_EQ(stack.frames, Names{"inner"}) << shown(stack);
    EXPECT_NE(stack.incomplete, "");
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    close(go[0]);
    close(go[1]);
}

}  // namespace
}  // namespace drainwatch::user_stack_test
