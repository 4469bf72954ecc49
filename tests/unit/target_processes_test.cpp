/// Against real children of the test, which wait at a pipe for what to do.
#include "host/target_processes.hpp"

#include "host/proc.hpp"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <csignal>
#include <cstring>
#include <functional>
#include <string>

namespace drainwatch::target_processes_test {
namespace {

/// A process with a name, that renames itself, forks or ends when it is told to.
class Child {
public:
    explicit Child(const char* name)
    {
        EXPECT_EQ(pipe(orders_), 0);
        EXPECT_EQ(pipe(done_), 0);
        pid_ = fork();
        if (pid_ == 0) {
            close(orders_[1]);
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            prctl(PR_SET_NAME, name);
            serve();
        }
        (void)answer();
    }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child()
    {
        end();
        for (const int fd : {orders_[0], orders_[1], done_[0], done_[1]}) {
            close(fd);
        }
    }

    [[nodiscard]] std::uint32_t pid() const { return static_cast<std::uint32_t>(pid_); }
    void rename() { (void)tell('r'); }
    [[nodiscard]] std::uint32_t fork_one() { return tell('f'); }
    /// A child that runs another program.
    [[nodiscard]] std::uint32_t start_one() { return tell('x'); }

    /// A zombie until it is waited for.
    void end_but_stay()
    {
        kill(pid_, SIGKILL);
        siginfo_t info{};
        waitid(P_PID, pid(), &info, WEXITED | WNOWAIT);
    }

    void end()
    {
        if (pid_ > 0) {
            kill(pid_, SIGKILL);
            waitpid(pid_, nullptr, 0);
            pid_ = 0;
        }
    }

private:
    std::uint32_t tell(char order)
    {
        EXPECT_EQ(write(orders_[1], &order, 1), 1);
        return answer();
    }

    std::uint32_t answer()
    {
        std::uint32_t value = 0;
        EXPECT_EQ(read(done_[0], &value, sizeof(value)), static_cast<ssize_t>(sizeof(value)));
        return value;
    }

    [[noreturn]] void serve()
    {
        std::uint32_t value = 0;
        char order = 0;
        while (write(done_[1], &value, sizeof(value)) > 0 && read(orders_[0], &order, 1) == 1) {
            value = 0;
            if (order == 'r') {
                prctl(PR_SET_NAME, "dw-other");
            } else if (order == 'f' || order == 'x') {
                const pid_t one = fork();
                if (one == 0) {
                    alarm(20);  // it is to outlive its parent, but not the test by much
                    if (order == 'x') {
                        execlp("sleep", "sleep", "60", nullptr);
                    }
                    pause();
                    _exit(0);
                }
                value = static_cast<std::uint32_t>(one);
            }
        }
        _exit(0);
    }

    pid_t pid_ = 0;
    int orders_[2] = {-1, -1};
    int done_[2] = {-1, -1};
};

Targets named(const char* name)
{
    Targets targets;
    targets.names = {name};
    return targets;
}

Targets numbered(std::uint32_t pid)
{
    Targets targets;
    targets.pids = {pid};
    return targets;
}

std::vector<ProcessNotice> full_scan(TargetProcesses& processes)
{
    auto notices = processes.scan();
    for (const auto& more : {processes.scan_changes(), processes.scan_all()}) {
        notices.insert(notices.end(), more.begin(), more.end());
    }
    return notices;
}

TEST(Identity, IsReadWhateverTheName)
{
    for (const char* name :
         {"dw-plain", "dw) S 1 (x", "a)", "(", "dw\nline", " dw ", ") Z 0 0 0"}) {
        const Child child(name);
        const auto found = proc::identity(child.pid());
        ASSERT_TRUE(found) << name;
        EXPECT_EQ(found->comm, name);
        EXPECT_EQ(found->parent, static_cast<std::uint32_t>(getpid()));
        EXPECT_FALSE(found->zombie);
        EXPECT_EQ(proc::comm(child.pid()), name);
    }
}

TEST(Identity, OfWhatHasEnded)
{
    Child child("dw-ends");
    child.end_but_stay();
    const auto zombie = proc::identity(child.pid());
    ASSERT_TRUE(zombie);
    EXPECT_TRUE(zombie->zombie);
    const std::uint32_t pid = child.pid();
    child.end();
    EXPECT_FALSE(proc::identity(pid));
}

TEST(TargetProcesses, ByNameAppearsIsRenamedAndEnds)
{
    TargetProcesses processes(named("dw-name"));
    EXPECT_TRUE(full_scan(processes).empty());
    Child child("dw-name");
    auto notices = full_scan(processes);
    ASSERT_EQ(notices.size(), 1U);
    EXPECT_EQ(notices[0].kind, ProcessNotice::Kind::appeared);
    EXPECT_EQ(notices[0].pid, child.pid());
    EXPECT_EQ(notices[0].comm, "dw-name");
    EXPECT_TRUE(full_scan(processes).empty()) << "told once";

    child.rename();
    notices = full_scan(processes);
    ASSERT_EQ(notices.size(), 1U);
    EXPECT_EQ(notices[0].kind, ProcessNotice::Kind::renamed);
    EXPECT_EQ(notices[0].comm, "dw-other");
    EXPECT_FALSE(notices[0].target);
    EXPECT_TRUE(processes.living().empty());
    EXPECT_TRUE(full_scan(processes).empty());
}

TEST(TargetProcesses, ByPidStaysWhateverItsName)
{
    Child child("dw-pid");
    TargetProcesses processes(numbered(child.pid()));
    ASSERT_EQ(full_scan(processes).size(), 1U);
    child.rename();
    const auto notices = full_scan(processes);
    ASSERT_EQ(notices.size(), 1U);
    EXPECT_EQ(notices[0].kind, ProcessNotice::Kind::renamed);
    EXPECT_TRUE(notices[0].target);
    EXPECT_EQ(processes.living().at(child.pid()), "dw-other");
    child.end_but_stay();
    const auto last = full_scan(processes);
    ASSERT_EQ(last.size(), 1U);
    EXPECT_EQ(last[0].kind, ProcessNotice::Kind::ended);
    EXPECT_TRUE(full_scan(processes).empty());
}

TEST(TargetProcesses, AChildOfATargetIsOneAndStaysOne)
{
    Child parent("dw-parent");
    TargetProcesses processes(named("dw-parent"));
    ASSERT_EQ(full_scan(processes).size(), 1U);
    const std::uint32_t pid = parent.fork_one();
    auto notices = full_scan(processes);
    ASSERT_EQ(notices.size(), 1U);
    EXPECT_EQ(notices[0].kind, ProcessNotice::Kind::forked);
    EXPECT_EQ(notices[0].pid, pid);
    EXPECT_EQ(notices[0].parent, parent.pid());
    parent.rename();  // which ends its own being a target, by name
    notices = full_scan(processes);
    ASSERT_EQ(notices.size(), 1U);
    EXPECT_EQ(notices[0].pid, parent.pid());
    EXPECT_FALSE(notices[0].target);
    EXPECT_TRUE(processes.living().contains(pid));
    kill(static_cast<pid_t>(pid), SIGKILL);
}

bool eventually(const std::function<bool()>& holds)
{
    for (int i = 0; i < 5000 && !holds(); i++) {
        usleep(1000);
    }
    return holds();
}

bool runs(std::uint32_t pid, const std::string& program)
{
    const auto process = proc::identity(pid);
    return process && process->comm == program;
}

TEST(TargetProcesses, AChildFromBeforeTheFirstLookIsOne)
{
    Child parent("dw-parent");
    const std::uint32_t pid = parent.fork_one();
    TargetProcesses processes(named("dw-parent"));
    const auto notices = full_scan(processes);
    ASSERT_EQ(notices.size(), 2U);
    EXPECT_TRUE(std::all_of(notices.begin(), notices.end(), [](const ProcessNotice& notice) {
        return notice.kind == ProcessNotice::Kind::appeared;
    }));
    EXPECT_TRUE(processes.is_child(pid));
    EXPECT_FALSE(processes.is_child(parent.pid()));
    kill(static_cast<pid_t>(pid), SIGKILL);
}

TEST(TargetProcesses, AChildThatRunsAnotherProgramIsNone)
{
    Child parent("dw-parent");
    const std::uint32_t before = parent.start_one();
    ASSERT_TRUE(eventually([&] { return runs(before, "sleep"); }));
    TargetProcesses processes(named("dw-parent"));
    ASSERT_EQ(full_scan(processes).size(), 1U);
    const std::uint32_t after = parent.start_one();
    ASSERT_TRUE(eventually([&] {
        (void)full_scan(processes);  // it may be seen before its exec
        return runs(after, "sleep");
    }));
    (void)full_scan(processes);
    EXPECT_EQ(processes.living().size(), 1U);
    EXPECT_TRUE(processes.living().contains(parent.pid()));
    EXPECT_TRUE(processes.followed().children.empty());
    kill(static_cast<pid_t>(before), SIGKILL);
    kill(static_cast<pid_t>(after), SIGKILL);
}

/// Children of a target stay targets beyond its end, and beyond a change of the source; but what is
/// a target by its name, or by descent, is none by its pid.
TEST(TargetProcesses, WhatAnotherSourceIsToGoOnFollowing)
{
    Child parent("dw-parent");
    Child other("dw-named");
    Targets targets = numbered(parent.pid());
    targets.names = {"dw-named"};
    TargetProcesses processes(targets);
    (void)full_scan(processes);
    const std::uint32_t child = parent.fork_one();
    (void)full_scan(processes);
    EXPECT_EQ(processes.followed().by_pid, std::vector<std::uint32_t>{parent.pid()});
    EXPECT_EQ(processes.followed().children, std::vector<std::uint32_t>{child});
    parent.end();
    (void)full_scan(processes);
    const FollowedProcesses followed = processes.followed();
    EXPECT_TRUE(followed.by_pid.empty());

    TargetProcesses next(named("dw-named"), followed.children);
    EXPECT_EQ(next.followed().children, followed.children);
    for (const std::uint32_t pid : followed.children) {
        EXPECT_TRUE(next.living().contains(pid));
        EXPECT_TRUE(next.is_child(pid));
        kill(static_cast<pid_t>(pid), SIGKILL);
    }
}

/// Its exit code is all that is left: it neither appears nor ends again and again.
TEST(TargetProcesses, AZombieIsNoTarget)
{
    Child child("dw-zombie");
    child.end_but_stay();
    TargetProcesses by_name(named("dw-zombie"));
    for (int i = 0; i < 3; i++) {
        EXPECT_TRUE(by_name.scan().empty());
        EXPECT_TRUE(by_name.scan_changes().empty());
        EXPECT_TRUE(by_name.scan_all().empty());
    }
}

TEST(TargetProcesses, AChildThatBecameAZombieIsNotForked)
{
    Child parent("dw-parent2");
    TargetProcesses processes(named("dw-parent2"));
    const std::uint32_t pid = parent.fork_one();
    kill(static_cast<pid_t>(pid), SIGKILL);
    while (proc::identity(pid) && !proc::identity(pid)->zombie) {
        sched_yield();
    }
    const auto notices = full_scan(processes);
    ASSERT_EQ(notices.size(), 1U);
    EXPECT_EQ(notices[0].pid, parent.pid());
}

TEST(Descriptors, OfAProcessThatIsGone)
{
    Child child("dw-gone");
    EXPECT_TRUE(proc::socket_descriptors(child.pid()));
    EXPECT_TRUE(proc::net_namespace(child.pid()));
    const std::uint32_t pid = child.pid();
    child.end();
    EXPECT_FALSE(proc::socket_descriptors(pid));
    EXPECT_TRUE(proc::descriptors_can_be_read(pid));
    EXPECT_FALSE(proc::net_namespace(pid));
}

}  // namespace
}  // namespace drainwatch::target_processes_test
