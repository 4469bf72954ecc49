/// For tests of user stacks: children of the test that sleep at the end of a chain of calls which
/// is known.
#pragma once

#include "host/file.hpp"
#include "host/user_stack.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

namespace drainwatch {

using Names = std::vector<std::string>;

const inline Names kToMain{"inner", "middle", "outer", "main"};

inline std::string program(const std::string& name)
{
    return DRAINWATCH_TEST_PROGRAMS "/" + name;
}

inline std::string text_of(const std::string& path)
{
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

inline std::string call_of(const std::string& way)
{
    const int number = way == "poll"    ? SYS_poll
                       : way == "futex" ? SYS_futex
                       : way == "own"   ? SYS_pause
                                        : SYS_clock_nanosleep;
    return std::to_string(number);
}

inline std::uint32_t id(pid_t pid)
{
    return static_cast<std::uint32_t>(pid);
}

/// A program of programs/stack_target.c, asleep: in the call that its first argument names, in the
/// thread that is found there.
class Sleeper {
public:
    explicit Sleeper(const std::string& path, const std::string& way = "nanosleep",
                     const std::string& where = "main")
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

inline UserStack stack_of(const Sleeper& sleeper, const UserRegisters& registers)
{
    Symbols symbols;
    return read_user_stack(sleeper.pid(), sleeper.tid(), registers, symbols);
}

inline std::string shown(const UserStack& stack)
{
    return fmt::format("{} [{}]", fmt::join(stack.frames, " < "), stack.incomplete);
}

inline std::ptrdiff_t count_of(const Names& frames, const std::string& name)
{
    return std::count(frames.begin(), frames.end(), name);
}

inline bool has_reason(const UserStack& stack, std::string_view reason)
{
    return stack.incomplete.find(reason) != std::string::npos;
}

/// The chain is there once, in one piece, and what is above it is of the library.
inline void expect_chain(const UserStack& stack, const Names& chain)
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

inline void expect_whole(const UserStack& stack, const Names& chain,
                         const std::string& last = "_start")
{
    expect_chain(stack, chain);
    EXPECT_EQ(stack.incomplete, "") << shown(stack);
    ASSERT_FALSE(stack.frames.empty());
    EXPECT_EQ(stack.frames.back(), last) << shown(stack);
}

inline void expect_bounded(const UserStack& stack)
{
    EXPECT_LE(stack.frames.size(), kMostUserFrames);
    EXPECT_TRUE(!stack.frames.empty() || !stack.incomplete.empty());
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

/// A file, mapped as code into this process.
class MappedFile {
public:
    explicit MappedFile(const std::string& path) : bytes_(std::filesystem::file_size(path))
    {
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

}  // namespace drainwatch
