/// Against children of the test that sleep at the end of a chain of calls which is known.
#include "host/user_stack.hpp"

#include "host/file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <sstream>

namespace drainwatch {
namespace {

using Names = std::vector<std::string>;

const Names kChain{"inner", "middle", "outer"};

std::string program(const std::string& name)
{
    return DRAINWATCH_TEST_PROGRAMS "/" + name;
}

std::string text_of(const std::string& path)
{
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::string call_of(const std::string& way)
{
    const int number = way == "poll"    ? SYS_poll
                       : way == "futex" ? SYS_futex
                       : way == "own"   ? SYS_pause
                                        : SYS_clock_nanosleep;
    return std::to_string(number);
}

std::uint32_t id(pid_t pid)
{
    return static_cast<std::uint32_t>(pid);
}

/// A program that sleeps: in the call that its first argument names, in the thread that is found
/// there.
class Sleeper {
public:
    Sleeper(const std::string& path, const std::string& way, const std::string& where = "main")
        : call_(call_of(way))
    {
        pid_ = fork();
        if (pid_ == 0) {
            execl(path.c_str(), path.c_str(), way.c_str(), where.c_str(), nullptr);
            _exit(127);
        }
        wait_until_it_sleeps();
    }
    Sleeper(const Sleeper&) = delete;
    Sleeper& operator=(const Sleeper&) = delete;
    ~Sleeper() { end(); }

    [[nodiscard]] std::uint32_t pid() const { return id(pid_); }
    [[nodiscard]] std::uint32_t tid() const { return tid_; }

    void end()
    {
        if (pid_ > 0) {
            kill(pid_, SIGKILL);
            waitpid(pid_, nullptr, 0);
            pid_ = 0;
        }
    }

    /// What the kernel tells of it without stopping it.
    [[nodiscard]] UserRegisters ip_and_sp() const
    {
        std::istringstream fields(syscall_of(tid_));
        Names words{std::istream_iterator<std::string>(fields), {}};
        UserRegisters registers;
        if (words.size() == 9) {
            registers.sp = std::stoull(words[7], nullptr, 16);
            registers.ip = std::stoull(words[8], nullptr, 16);
        }
        return registers;
    }

    /// The test may stop it, and does, for a moment.
    [[nodiscard]] UserRegisters all_registers()
    {
        const auto tid = static_cast<pid_t>(tid_);
        user_regs_struct r{};
        EXPECT_EQ(ptrace(PTRACE_SEIZE, tid, 0, 0), 0);
        EXPECT_EQ(ptrace(PTRACE_INTERRUPT, tid, 0, 0), 0);
        EXPECT_EQ(waitpid(tid, nullptr, __WALL), tid);
        EXPECT_EQ(ptrace(PTRACE_GETREGS, tid, 0, &r), 0);
        EXPECT_EQ(ptrace(PTRACE_DETACH, tid, 0, 0), 0);
        return {r.rip, r.rsp, r.rbp, r.rbx, r.r12, r.r13, r.r14, r.r15};
    }

private:
    [[nodiscard]] std::string syscall_of(std::uint32_t tid) const
    {
        return text_of(fmt::format("/proc/{}/task/{}/syscall", pid_, tid));
    }

    void wait_until_it_sleeps()
    {
        constexpr int kTries = 10'000;
        for (int i = 0; i < kTries && tid_ == 0; i++) {
            poll(nullptr, 0, 1);
            std::error_code error;
            for (const auto& thread :
                 std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid_), error)) {
                const auto tid = static_cast<std::uint32_t>(std::stoul(thread.path().filename()));
                if (syscall_of(tid).starts_with(call_ + " ")) {
                    tid_ = tid;
                }
            }
        }
        EXPECT_NE(tid_, 0U) << "it does not sleep";
    }

    std::string call_;
    pid_t pid_ = 0;
    std::uint32_t tid_ = 0;
};

UserStack stack_of(const Sleeper& sleeper, const UserRegisters& registers)
{
    Symbols symbols;
    return UserStacks(symbols).of(sleeper.pid(), sleeper.tid(), registers);
}

std::string shown(const UserStack& stack)
{
    return fmt::format("{} [{}]", fmt::join(stack.frames, " < "), stack.incomplete);
}

std::ptrdiff_t count_of(const Names& frames, const std::string& name)
{
    return std::count(frames.begin(), frames.end(), name);
}

/// The chain is there once, in one piece, and what is above it is of the library.
void expect_chain(const UserStack& stack, const Names& chain)
{
    const auto at =
        std::search(stack.frames.begin(), stack.frames.end(), chain.begin(), chain.end());
    ASSERT_NE(at, stack.frames.end()) << shown(stack);
    for (const std::string& name : chain) {
        EXPECT_EQ(count_of(stack.frames, name), 1) << shown(stack);
    }
    for (auto above = stack.frames.begin(); above != at; ++above) {
        EXPECT_TRUE(
            above->find("sleep") != std::string::npos || above->find("poll") != std::string::npos ||
            above->find("syscall") != std::string::npos || above->find(".so.") != std::string::npos)
            << shown(stack);
    }
}

void expect_whole(const UserStack& stack, const Names& chain, const std::string& last = "_start")
{
    expect_chain(stack, chain);
    EXPECT_EQ(stack.incomplete, "") << shown(stack);
    ASSERT_FALSE(stack.frames.empty());
    EXPECT_EQ(stack.frames.back(), last) << shown(stack);
}

bool has_reason(const UserStack& stack, std::string_view reason)
{
    return stack.incomplete.find(reason) != std::string::npos;
}

const Names kToMain{"inner", "middle", "outer", "main"};

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
    expect_chain(stack, kChain);
    EXPECT_EQ(stack.frames.size(), UserStacks::kMaxFrames);
    EXPECT_EQ(stack.frames.back(), "recursive");
    EXPECT_TRUE(has_reason(stack, "more than 64")) << shown(stack);
}

TEST(UserStack, has_a_limit_of_time_and_says_so)
{
    Sleeper sleeper(program("stack_target"), "nanosleep");
    Symbols symbols;
    const UserStack stack =
        UserStacks(symbols, 0).of(sleeper.pid(), sleeper.tid(), sleeper.all_registers());
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
    const UserStack stack = UserStacks(symbols).of(pid, pid, registers);
    EXPECT_TRUE(stack.frames.empty());
    EXPECT_EQ(stack.incomplete, "the thread has ended");
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
    UserStacks stacks(symbols);
    const Sleeper other(path, "own");
    // Is remembered, and would be wrong afterwards: the file lies elsewhere.
    EXPECT_EQ(symbols.user(id(pid), other.ip_and_sp().ip), "[unknown]");
    ASSERT_EQ(write(go[1], "x", 1), 1);
    UserStack stack;
    for (int i = 0; i < 10'000 && stack.frames.empty(); i++) {
        poll(nullptr, 0, 1);
        if (text_of(fmt::format("/proc/{}/syscall", pid)).starts_with(call_of("own"))) {
            stack = stacks.of(id(pid), id(pid), {other.ip_and_sp().ip, 0, {}, {}, {}, {}, {}, {}});
        }
    }
    EXPECT_EQ(stack.frames, Names{"inner"}) << shown(stack);
    EXPECT_NE(stack.incomplete, "");
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    close(go[0]);
    close(go[1]);
}

class Directory {
public:
    Directory() { EXPECT_NE(mkdtemp(path_.data()), nullptr); }
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;
    ~Directory() { std::filesystem::remove_all(path_); }
    [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }

private:
    std::string path_ = "/tmp/drainwatch-stack-XXXXXX";
};

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
    const auto mappings = read_maps(sleeper.pid());
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
    UserStacks stacks(symbols);
    {
        const Sleeper sleeper(path, "own");
        const UserStack stack = stacks.of(sleeper.pid(), sleeper.tid(), sleeper.ip_and_sp());
        ASSERT_FALSE(stack.frames.empty());
        EXPECT_TRUE(stack.frames[0].starts_with("program+0x")) << shown(stack);
    }
    {
        std::ofstream(path, std::ios::binary | std::ios::trunc) << text_of(program("stack_target"));
        const Sleeper sleeper(path, "own");
        expect_whole(stacks.of(sleeper.pid(), sleeper.tid(), sleeper.ip_and_sp()), kToMain);
    }
}

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

void expect_bounded(const UserStack& stack)
{
    EXPECT_LE(stack.frames.size(), UserStacks::kMaxFrames);
    EXPECT_TRUE(!stack.frames.empty() || !stack.incomplete.empty());
}

TEST(UserStack, of_garbage_registers_ends)
{
    Random random(1);
    Symbols symbols;
    UserStacks stacks(symbols);
    for (const char* name : {"stack_target", "stack_target_fp", "stack_target_static"}) {
        Sleeper sleeper(program(name), "nanosleep");
        const UserRegisters real = sleeper.all_registers();
        const auto mappings = read_maps(sleeper.pid());
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
            expect_bounded(stacks.of(sleeper.pid(), sleeper.tid(), registers));
        }
    }
}

TEST(UserStack, of_processes_that_end_and_change_meanwhile_ends)
{
    Symbols symbols;
    UserStacks stacks(symbols);
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
            if (const auto mappings = read_maps(id(pid)); !mappings.empty()) {
                now.ip = mappings[static_cast<std::size_t>(j) % mappings.size()].begin + 64;
            }
            expect_bounded(stacks.of(id(pid), id(pid), now));
        }
        waitpid(pid, nullptr, 0);
    }
}

/// A file, mapped as code into this process.
class MappedFile {
public:
    MappedFile(const std::string& path, const std::string& bytes) : bytes_(bytes.size())
    {
        std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
        const File file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
        memory_ = mmap(nullptr, bytes_, PROT_READ | PROT_EXEC, MAP_PRIVATE, file.get(), 0);
        EXPECT_NE(memory_, MAP_FAILED);
    }
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;
    ~MappedFile() { munmap(memory_, bytes_); }
    [[nodiscard]] std::uint64_t begin() const { return reinterpret_cast<std::uint64_t>(memory_); }

private:
    std::size_t bytes_;
    void* memory_ = nullptr;
};

TEST(UserStack, of_corrupt_files_ends)
{
    const Directory directory;
    const std::string good = text_of(program("stack_target"));
    Random random(2);
    Symbols symbols;
    UserStacks stacks(symbols);
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
        const MappedFile mapped(path, bytes);
        std::array<std::uint64_t, 512> stack{};
        for (std::uint64_t& word : stack) {
            word = mapped.begin() + random() % bytes.size();
        }
        for (int j = 0; j < 5; j++) {
            UserRegisters registers;
            registers.ip = mapped.begin() + random() % bytes.size();
            registers.sp = reinterpret_cast<std::uint64_t>(stack.data());
            registers.bp = registers.sp + 8 * (random() % 64);
            expect_bounded(stacks.of(id(getpid()), id(getpid()), registers));
        }
        // Cut off while it is mapped.
        std::filesystem::resize_file(path, random() % bytes.size());
        expect_bounded(stacks.of(id(getpid()), id(getpid()),
                                 {mapped.begin() + 64, 8, {}, {}, {}, {}, {}, {}}));
    }
}

}  // namespace
}  // namespace drainwatch
