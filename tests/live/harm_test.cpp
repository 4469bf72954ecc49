// What watching does to the host: nothing is lost in silence, no right is kept without need,
// and nothing stays behind.
#include "support/kernel_objects.hpp"
#include "support/namespace.hpp"
#include "support/scenario.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <set>

namespace drainwatch::live {
namespace {

using namespace std::chrono_literals;

class Harm : public Scenario {
protected:
    /// A process that is a target and is none, again and again: two notices each time.
    [[nodiscard]] Process flood(int times)
    {
        return Process::fork([this, times] {
            for (int i = 0; i < times; i++) {
                prctl(PR_SET_NAME, comm().c_str());
                prctl(PR_SET_NAME, "nobody");
            }
            nap(60s);
        });
    }

    /// A reader of the target's name stops, and is told of with its descriptor.
    void expect_stall_of_new_target(const Listen& listen)
    {
        make_target(listen, [](int listener, Control& control) {
            if (setuid(kNobody) == 0) {  // another user's descriptors are read, too
                Target::one_connection([](int, Control& own) {
                    while (!own.quit) {
                        nap(10ms);
                    }
                })(listener, control);
            }
        });
        Sender& sender = connect({.message = 150, .spacing = 20'000us, .netns = listen.netns});
        sender.start();
        const auto warning = watcher().wait_for(about(sender, is_trouble), 4s);
        ASSERT_TRUE(warning);
        EXPECT_EQ(warning->json["process"]["pid"], target().pid());
        EXPECT_TRUE(warning->json["socket"]["fd"].is_number());
        control().quit = true;
        EXPECT_EQ(target().process().wait(), 0);
    }

    static constexpr uid_t kNobody = 65534;
};

using Words = std::map<std::string, std::string>;

/// /proc/<pid>/status
Words status_of(pid_t pid)
{
    std::ifstream file("/proc/" + std::to_string(pid) + "/status");
    Words words;
    for (std::string key, value; file >> key >> value; file.ignore(1000, '\n')) {
        words[key] = value;
    }
    return words;
}

std::string mask_of(const std::vector<int>& capabilities)
{
    std::uint64_t mask = 0;
    for (const int capability : capabilities) {
        mask |= 1ULL << capability;
    }
    return fmt::format("{:016x}", mask);
}

/// What is left is enough for targets that come later, restart, or live in a namespace of their
/// own.
TEST_F(Harm, capabilities_are_given_up)
{
    const NetworkNamespace elsewhere;
    watch();
    const Json start = watcher().lines(event_is("start")).front().json;
    const bool by_address =
        std::any_of(start["missing"].begin(), start["missing"].end(),
                    [](const Json& part) { return part["program"] == "sk_storage"; });
    std::vector<int> capabilities{CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH};
    if (!polls()) {
        capabilities.insert(capabilities.end(), {CAP_BPF, CAP_PERFMON});
    }
    if (polls() || by_address) {
        capabilities.push_back(CAP_SYS_ADMIN);
    }
    const std::string kept = mask_of(capabilities);
    Words status = status_of(watcher().pid());
    EXPECT_EQ(status["CapEff:"], kept);
    EXPECT_EQ(status["CapPrm:"], kept);
    EXPECT_EQ(status["CapBnd:"], kept);
    EXPECT_EQ(status["CapInh:"], mask_of({}));
    EXPECT_EQ(status["CapAmb:"], mask_of({}));
    EXPECT_EQ(status["NoNewPrivs:"], "1");
    EXPECT_EQ(start["capabilities"].size(), capabilities.size());
    expect_stall_of_new_target({});
    expect_stall_of_new_target({});
    expect_stall_of_new_target({.netns = elsewhere.name()});
    EXPECT_EQ(finish(), 1);
}

/// The ring overflows while drainwatch stands still, and is flooded to the very end: every notice
/// is accounted for, and the stall is told all the same.
TEST_F(Harm, every_notice_is_accounted_for)
{
    if (polls()) {
        GTEST_SKIP() << "polling has no notices to lose";
    }
    constexpr int kTimes = 20'000;
    play({.rcvbuf = 48 * 1024}, {}, read_all);
    nap(500ms);
    watcher().process().signal(SIGSTOP);
    const Process flooded = flood(kTimes);
    ASSERT_TRUE(wait_until([&] { return flooded.is_asleep(); }, 5s));
    control().hold = true;
    nap(1500ms);
    watcher().process().signal(SIGCONT);
    EXPECT_TRUE(watcher().wait_for(about(sender(), is_trouble), 2s));
    EXPECT_TRUE(watcher().wait_for(about(sender(), event_is("zero_window")), 5s));
    ASSERT_TRUE(watcher().wait_for(event_is("lost"), 3s));
    const Process flooding = flood(1'000'000);
    nap(500ms);
    EXPECT_EQ(finish(), 2);
    const auto summary = watcher().lines(event_is("summary"));
    ASSERT_EQ(summary.size(), 1U);
    const Json& told = summary.front().json;
    EXPECT_EQ(told["notices_produced"],
              told["notices_consumed"].get<int>() + told["notices_lost"].get<int>());
    EXPECT_GT(told["notices_produced"], 2 * kTimes);
    EXPECT_GT(told["notices_lost"], kTimes) << "the scene is not what it should be";
    EXPECT_GT(told["notices_consumed"], 1000);
}

/// Files in a folder, and below it.
std::set<std::string> files_in(const std::filesystem::path& folder)
{
    std::set<std::string> files;
    std::error_code error;
    for (std::filesystem::recursive_directory_iterator file(folder, error), end;
         !error && file != end; file.increment(error)) {
        files.insert(file->path());
    }
    return files;
}

/// Regular files that a process has open to write.
std::set<std::string> files_written_by(pid_t pid)
{
    namespace fs = std::filesystem;
    std::set<std::string> files;
    std::error_code gone;
    const std::string process = "/proc/" + std::to_string(pid);
    for (fs::directory_iterator fd(process + "/fd", gone), end; !gone && fd != end;
         fd.increment(gone)) {
        std::error_code closed;
        std::ifstream fdinfo(process + "/fdinfo/" + fd->path().filename().string());
        std::string key;
        unsigned flags = 0;
        fdinfo >> key >> key >> key >> std::oct >> flags;  // "pos: 0 flags: 0100002"
        if (fs::is_regular_file(fd->path(), closed) && (flags & O_ACCMODE) != O_RDONLY) {
            files.insert(fs::read_symlink(fd->path(), closed));
        }
    }
    return files;
}

/// How long this drainwatch takes until its programs are attached; a poll attaches none.
std::chrono::microseconds time_to_attach(const Process& watching)
{
    const std::uint64_t began_ns = realtime_ns();
    (void)wait_until([&] { return polls() || !objects_of(watching.pid()).links.empty(); }, 10s);
    return std::chrono::microseconds(
        std::max<std::uint64_t>((realtime_ns() - began_ns) / 1000, 50'000));
}

/// Killed at any moment, from its loading to the middle of a stall: neither in the kernel nor on
/// disk is anything left of it.
TEST_F(Harm, a_hundred_kills_leave_nothing)
{
    constexpr int kKills = 100;
    make_target({}, Target::one_connection([](int, Control& own) {
                    while (!own.quit) {
                        nap(10ms);
                    }
                }));
    connect({}).start();  // and nobody reads
    std::string folder = std::filesystem::temp_directory_path() / "drainwatch-XXXXXX";
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    const auto pinned = files_in("/sys/fs/bpf");
    const KernelObjects before = kernel_objects();
    const auto start = [&] {
        return Process::spawn({"sh", "-c", R"(cd "$0" && HOME="$0" TMPDIR="$0" exec "$@")", folder,
                               drainwatch_executable(), "watch", "--process", comm(),
                               "--warn-after", "100ms"});
    };
    const auto latest = 2 * time_to_attach(start());
    std::minstd_rand random(1);
    int attached = 0;
    for (int i = 0; i < kKills; i++) {
        Process watching = start();
        nap(std::chrono::microseconds(random() % latest.count()));
        EXPECT_EQ(files_written_by(watching.pid()), std::set<std::string>{});
        attached += !objects_of(watching.pid()).links.empty();
        watching.signal(SIGKILL);
        EXPECT_EQ(watching.wait(), 128 + SIGKILL);
    }
    RecordProperty("attached", attached);
    EXPECT_TRUE(wait_until([&] { return left_behind_since(before) == KernelObjects{}; }, 10s))
        << to_string(left_behind_since(before));
    EXPECT_EQ(files_in("/sys/fs/bpf"), pinned);
    EXPECT_EQ(files_in(folder), std::set<std::string>{});
    std::filesystem::remove(folder);
    if (!polls()) {
        EXPECT_GT(attached, 10) << "the kills came too early";
        EXPECT_LT(attached, kKills - 10) << "the kills came too late";
    }
}

}  // namespace
}  // namespace drainwatch::live
