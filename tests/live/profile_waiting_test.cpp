// What readers do while data waits, with readers that are known to do it.
#include "support/profile_run.hpp"
#include "support/scenario.hpp"
#include "support/shared_array.hpp"

#include <linux/futex.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <array>
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

class ProfileWaiting : public ::testing::Test {
protected:
    void SetUp() override
    {
        if (geteuid() != 0) {
            GTEST_SKIP() << "live tests need root";
        }
    }

    /// A target that takes one byte now and then out of a queue that never ends, and else does
    /// what `idle` says. Its profile over `time`.
    Json profile(const std::function<void()>& idle, std::chrono::milliseconds time,
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
        nap(time);
        Json profile = run.stop();
        target.control().quit = true;
        target.process().signal(SIGKILL);
        return profile;
    }

    static void expect_shares(const Json& profile, double running, double runnable, double sleeping)
    {
        ASSERT_TRUE(profile.is_object());
        const Json& waiting = profile["waiting"];
        ASSERT_TRUE(waiting.is_object()) << profile;
        EXPECT_NEAR(waiting["running"].get<double>(), running, kWithin) << waiting;
        EXPECT_NEAR(waiting["runnable"].get<double>(), runnable, kWithin) << waiting;
        EXPECT_NEAR(waiting["sleeping"].get<double>(), sleeping, kWithin) << waiting;
        const double sum = waiting["running"].get<double>() + waiting["runnable"].get<double>() +
                           waiting["sleeping"].get<double>() + waiting["unknown"].get<double>();
        EXPECT_NEAR(sum, 1, 1e-5);
    }
};

TEST_F(ProfileWaiting, sleeps_for_thirty_percent)
{
    const Json result = profile(
        [] {
            burn(14ms);
            nap(6ms);
        },
        3s);
    expect_shares(result, 0.7, 0, 0.3);
    EXPECT_NEAR(call_share(result, "clock_nanosleep"), 0.3, kWithin);
}

TEST_F(ProfileWaiting, burns_cpu)
{
    const Json result = profile([] { burn(20ms); }, 2s);
    expect_shares(result, 1, 0, 0);
    EXPECT_NE(result["reason"].get<std::string>().find("does something else"), std::string::npos);
}

void wait_on_a_futex()
{
    static int word = 0;
    syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
}

/// It has read once, or never: who is asleep is known either way.
TEST_F(ProfileWaiting, waits_on_a_futex)
{
    const Json result = profile(wait_on_a_futex, 2s);
    expect_shares(result, 0, 0, 1);
    EXPECT_GE(call_share(result, "futex"), 0.95);
    EXPECT_NE(result["reason"].get<std::string>().find("no reads in"), std::string::npos);
    EXPECT_GT(result["unread_bytes"], 0);
}

/// A group of its own with a fifth of a CPU, for a process; cgroup v1 or v2. Gone at the end.
class CpuQuota {
public:
    CpuQuota()
    {
        namespace fs = std::filesystem;
        const bool v1 = fs::exists("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
        const fs::path root = v1 ? "/sys/fs/cgroup/cpu" : "/sys/fs/cgroup";
        if (!v1) {
            write(root / "cgroup.subtree_control", "+cpu");
        }
        folder_ = root / ("drainwatch-" + std::to_string(getpid()));
        std::error_code error;
        fs::create_directory(folder_, error);
        works_ = v1 ? write(folder_ / "cpu.cfs_quota_us", "10000") &&
                          write(folder_ / "cpu.cfs_period_us", "50000")
                    : write(folder_ / "cpu.max", "10000 50000");
    }
    ~CpuQuota()
    {
        // It can be removed once the last process in it is gone.
        (void)wait_until([&] { return rmdir(folder_.c_str()) == 0; }, 5s);
    }
    CpuQuota(const CpuQuota&) = delete;
    CpuQuota& operator=(const CpuQuota&) = delete;

    [[nodiscard]] bool works() const { return works_; }
    [[nodiscard]] bool add(pid_t pid) const
    {
        return write(folder_ / "cgroup.procs", std::to_string(pid));
    }

private:
    static bool write(const std::filesystem::path& file, const std::string& text)
    {
        std::ofstream stream(file);
        stream << text << std::flush;
        return static_cast<bool>(stream);
    }

    std::filesystem::path folder_;
    bool works_ = false;
};

TEST_F(ProfileWaiting, is_starved_by_a_quota)
{
    const CpuQuota quota;
    if (!quota.works()) {
        GTEST_SKIP() << "no cgroup with a quota of CPU time can be made here";
    }
    const Json result =
        profile([] { burn(1ms); }, 3s, {},
                [&](const Target& target) { EXPECT_TRUE(quota.add(target.pid())); });
    expect_shares(result, 0.2, 0.8, 0);
    EXPECT_NE(result["reason"].get<std::string>().find("no CPU"), std::string::npos);
}

std::string temporary_file()
{
    return "/tmp/drainwatch-stacks-" + std::to_string(getpid());
}

TEST_F(ProfileWaiting, stacks_say_where)
{
    const std::string path = temporary_file();
    const Json result = profile([] { nap(5ms); }, 1s, {"--stacks", path});
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
    const Json& waiting = result["waiting"];
    const double wanted_ms =
        waiting["total_ms"].get<double>() * call_share(result, "clock_nanosleep");
    EXPECT_NEAR(static_cast<double>(asleep_ns) / 1e6, wanted_ms, 0.02 * wanted_ms);
}

TEST_F(ProfileWaiting, threads_are_told_apart)
{
    const Json result = profile([] { nap(5ms); }, 1s, {"--per", "thread"});
    ASSERT_EQ(result["groups"].size(), 1U);
    EXPECT_EQ(result["groups"][0]["reads"], result["reads"]);
    EXPECT_GE(result["groups"][0]["waiting"]["sleeping"], 0.9);
}

TEST_F(ProfileWaiting, sockets_are_named)
{
    const Json result = profile([] { nap(5ms); }, 1s, {"--per", "socket"});
    ASSERT_EQ(result["groups"].size(), 1U);
    const std::string name = result["groups"][0]["name"];
    EXPECT_NE(name.find("127.0.0.1:"), std::string::npos) << name;
    EXPECT_TRUE(name.starts_with("gip")) << name;
}

}  // namespace
}  // namespace drainwatch::live
