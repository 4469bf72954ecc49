// What readers do while data waits, with readers that are known to do it.
#include "support/control_group.hpp"
#include "support/profile_run.hpp"
#include "support/scenario.hpp"
#include "support/shared_array.hpp"

#include <linux/futex.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <array>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>

namespace drainwatch::live {
namespace {

using namespace std::chrono_literals;

constexpr double kWithin = 0.05;  // points

void burn(std::chrono::microseconds time)
{
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end) {
    }
}

/// What the kernel's own accounting says of a thread (/proc/<pid>/schedstat): the witness, for the
/// machine may have other things to do as well.
struct Accounts {
    double running_ns = 0;
    double runnable_ns = 0;
    std::chrono::steady_clock::time_point at;

    static Accounts of(pid_t pid)
    {
        Accounts accounts;
        std::ifstream file("/proc/" + std::to_string(pid) + "/schedstat");
        file >> accounts.running_ns >> accounts.runnable_ns;
        accounts.at = std::chrono::steady_clock::now();
        return accounts;
    }
};

class ProfileWaiting : public ::testing::Test {
protected:
    void SetUp() override
    {
        if (geteuid() != 0) {
            GTEST_SKIP() << "live tests need root";
        }
        if (!std::filesystem::exists("/proc/self/schedstat")) {
            GTEST_SKIP() << "this kernel keeps no accounts of its scheduler";
        }
    }

    /// A target that takes one byte now and then out of a queue that never ends, and else does
    /// what `idle` says. Its profile over `time`, and the kernel's accounts.
    void profile(const std::function<void()>& idle, std::chrono::milliseconds time,
                 const std::vector<std::string>& more = {},
                 const std::function<void(const Target&)>& prepare = nullptr)
    {
        const std::string comm = unique_comm();
        Target target(comm, {}, Target::one_connection([&](int fd, Control& control) {
                          while (!control.quit) {
                              char byte = 0;
                              recv(fd, &byte, 1, MSG_DONTWAIT);
                              idle();
                          }
                      }));
        Sender sender(target.port(), {});
        const std::array<char, 60000> much{};
        send(sender.fd(), much.data(), much.size(), 0);
        if (prepare) {
            prepare(target);
        }
        ProfileRun run(comm, more);
        const Accounts before = Accounts::of(target.pid());
        nap(time);
        const Accounts after = Accounts::of(target.pid());
        result_ = run.stop();
        target.control().quit = true;
        target.process().signal(SIGKILL);
        const std::chrono::duration<double, std::nano> elapsed = after.at - before.at;
        running_ = (after.running_ns - before.running_ns) / elapsed.count();
        runnable_ = (after.runnable_ns - before.runnable_ns) / elapsed.count();
        ASSERT_TRUE(result_.is_object());
        ASSERT_TRUE(result_["waiting"].is_object()) << result_;
    }

    [[nodiscard]] double share(const char* of) const { return result_["waiting"][of]; }

    void expect_accounted() const
    {
        EXPECT_NEAR(share("running"), running_, kWithin) << result_["waiting"];
        EXPECT_NEAR(share("runnable"), runnable_, kWithin) << result_["waiting"];
        EXPECT_NEAR(share("sleeping"), 1 - running_ - runnable_, kWithin) << result_["waiting"];
        EXPECT_NEAR(share("running") + share("runnable") + share("sleeping") + share("unknown"), 1,
                    1e-5);
    }

    [[nodiscard]] bool reason_has(const char* words) const
    {
        return result_["reason"].get<std::string>().find(words) != std::string::npos;
    }

    Json result_;
    double running_ = 0;
    double runnable_ = 0;
};

TEST_F(ProfileWaiting, sleeps_for_thirty_percent)
{
    constexpr auto kAwake = 14ms;
    profile(
        [&] {
            burn(kAwake);
            nap(6ms);
        },
        3s);
    expect_accounted();
    EXPECT_NEAR(call_share(result_, "clock_nanosleep"), share("sleeping"), kWithin);
    // As it waits for a CPU, its time awake passes as well.
    EXPECT_NEAR(share("sleeping"), 0.3, kWithin + share("runnable"));
}

TEST_F(ProfileWaiting, burns_cpu)
{
    profile([] { burn(20ms); }, 2s);
    expect_accounted();
    EXPECT_LE(share("sleeping"), kWithin);
    EXPECT_EQ(reason_has("does something else"), share("running") > share("runnable"));
}

void wait_on_a_futex()
{
    static int word = 0;
    syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
}

/// It has read once, or never: who is asleep is known either way.
TEST_F(ProfileWaiting, waits_on_a_futex)
{
    profile(wait_on_a_futex, 2s);
    expect_accounted();
    EXPECT_GE(call_share(result_, "futex"), 0.95);
    EXPECT_TRUE(reason_has("no reads in")) << result_["reason"];
    EXPECT_GT(result_["unread_bytes"], 0);
}

TEST_F(ProfileWaiting, is_starved_by_a_quota)
{
    const ControlGroup group(ControlGroup::Controller::cpu);
    if (!group.limit_cpu(10ms, 50ms)) {
        GTEST_SKIP() << "no cgroup with a quota of CPU time can be made here";
    }
    profile([] { burn(1ms); }, 3s, {},
            [&](const Target& target) { EXPECT_TRUE(group.add(target.pid())); });
    // The quota's wait is not in every kernel's accounts.
    EXPECT_NEAR(share("running"), running_, kWithin) << result_["waiting"];
    EXPECT_LE(share("running"), 0.2 + kWithin) << result_["waiting"];
    EXPECT_NEAR(share("runnable"), 1 - running_, kWithin) << result_["waiting"];
    EXPECT_TRUE(reason_has("no CPU")) << result_["reason"];
}

std::string temporary_file()
{
    return "/tmp/drainwatch-stacks-" + std::to_string(getpid());
}

TEST_F(ProfileWaiting, stacks_say_where)
{
    const std::string path = temporary_file();
    profile([] { nap(5ms); }, 1s, {"--stacks", path});
    std::ifstream file(path);
    std::uint64_t asleep_ns = 0;
    for (std::string line; std::getline(file, line);) {
        const std::size_t space = line.rfind(' ');
        ASSERT_NE(space, std::string::npos) << line;
        const bool there = line.find("do_nanosleep_[k]") != std::string::npos &&
                           line.find("[no CPU]") == std::string::npos;
        asleep_ns += there ? std::stoull(line.substr(space + 1)) : 0;
        EXPECT_TRUE(line.starts_with("gip")) << line;
        EXPECT_EQ(line.find("bpf_"), std::string::npos) << line;
    }
    unlink(path.c_str());
    const Json& waiting = result_["waiting"];
    const double wanted_ms =
        waiting["total_ms"].get<double>() * call_share(result_, "clock_nanosleep");
    EXPECT_NEAR(static_cast<double>(asleep_ns) / 1e6, wanted_ms, 0.02 * wanted_ms);
}

TEST_F(ProfileWaiting, threads_are_told_apart)
{
    profile([] { nap(5ms); }, 1s, {"--per", "thread"});
    ASSERT_EQ(result_["groups"].size(), 1U);
    EXPECT_EQ(result_["groups"][0]["reads"], result_["reads"]);
    EXPECT_GE(result_["groups"][0]["waiting"]["sleeping"], 0.5);
}

TEST_F(ProfileWaiting, sockets_are_named)
{
    profile([] { nap(5ms); }, 1s, {"--per", "socket"});
    ASSERT_EQ(result_["groups"].size(), 1U);
    const std::string name = result_["groups"][0]["name"];
    EXPECT_NE(name.find("127.0.0.1:"), std::string::npos) << name;
    EXPECT_TRUE(name.starts_with("gip")) << name;
}

}  // namespace
}  // namespace drainwatch::live
