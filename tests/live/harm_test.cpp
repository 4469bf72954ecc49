// What watching does to the host: nothing is lost in silence, no right is kept without need,
// and nothing stays behind.
#include "support/kernel_objects.hpp"
#include "support/namespace.hpp"
#include "support/process_status.hpp"
#include "support/scenario.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <random>
#include <set>
#include <thread>

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
    std::vector<int> capabilities{CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH, CAP_CHECKPOINT_RESTORE};
    if (!polls()) {
        capabilities.insert(capabilities.end(), {CAP_BPF, CAP_PERFMON});
    }
    if (polls() || by_address) {
        capabilities.push_back(CAP_SYS_ADMIN);
    }
    const std::string kept = mask_of(capabilities);
    auto status = status_of(watcher().pid());
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

TEST_F(Harm, capabilities_are_given_up_by_profile_too)
{
    if (polls()) {
        GTEST_SKIP() << "profile does not poll";
    }
    Process measuring = Process::spawn({drainwatch_executable(), "profile", "--pid",
                                        std::to_string(getpid()), "--duration", "3s"});
    const std::vector<int> capabilities{CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH, CAP_CHECKPOINT_RESTORE,
                                        CAP_BPF, CAP_PERFMON};
    std::vector<int> by_address = capabilities;
    by_address.push_back(CAP_SYS_ADMIN);
    EXPECT_TRUE(wait_until(
        [&] {
            const std::string kept = status_of(measuring.pid())["CapEff:"];
            return kept == mask_of(capabilities) || kept == mask_of(by_address);
        },
        10s));
    EXPECT_EQ(measuring.wait(), 0);
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
    expect_small(watcher().pid());
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

/// How long these drainwatches take from now until their programs are attached; a poll attaches
/// none.
std::chrono::microseconds time_to_attach(const std::vector<Process>& watching)
{
    const std::uint64_t began_ns = realtime_ns();
    (void)wait_until(
        [&] {
            return polls() ||
                   std::none_of(watching.begin(), watching.end(), [](const Process& process) {
                       return objects_of(process.pid()).links.empty();
                   });
        },
        10s);
    return std::chrono::microseconds(
        std::max<std::uint64_t>((realtime_ns() - began_ns) / 1000, 50'000));
}

/// Killed at any moment, from its loading to the middle of a stall: neither in the kernel nor on
/// disk is anything left of it.
TEST_F(Harm, a_hundred_kills_leave_nothing)
{
    constexpr int kKills = 100;
    constexpr int kAtOnce = 5;
    // On an emulated machine, where a start takes long, as many as there is time for.
    const std::uint64_t longest_ns = on_emulated_machine() ? 60'000'000'000 : ~0ULL;
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
    const auto start = [&](const std::vector<std::string>& what) {
        std::vector<std::string> command{"sh", "-c",
                                         R"(cd "$0" && HOME="$0" TMPDIR="$0" exec "$@")", folder,
                                         drainwatch_executable()};
        command.insert(command.end(), what.begin(), what.end());
        return Process::spawn(command);
    };
    const std::vector<std::string> watch{"watch", "--process", comm(), "--warn-after", "100ms"};
    const std::vector<std::string> profile{"profile", "--process", comm(), "--duration", "60s"};
    const auto start_all = [&] {
        std::vector<Process> all;
        all.reserve(kAtOnce);
        for (int i = 0; i < kAtOnce; i++) {
            all.push_back(start(polls() || i != 0 ? watch : profile));
        }
        return all;
    };
    (void)time_to_attach(start_all());  // the first ones read everything from disk
    const auto latest = time_to_attach(start_all()) * 3 / 2;
    // Between its fork and its exec it has what this process has.
    const auto ours = files_written_by(getpid());
    std::minstd_rand random(1);
    std::vector<std::size_t> order(kAtOnce);
    std::iota(order.begin(), order.end(), 0);
    int attached = 0;
    int kills = 0;
    const std::uint64_t began_ns = realtime_ns();
    while (kills < kKills && realtime_ns() - began_ns < longest_ns) {
        std::vector<std::chrono::microseconds> moments(kAtOnce);
        std::generate(moments.begin(), moments.end(),
                      [&] { return std::chrono::microseconds(random() % latest.count()); });
        std::sort(moments.begin(), moments.end());
        std::shuffle(order.begin(), order.end(), random);
        auto all = start_all();
        const auto started = std::chrono::steady_clock::now();
        for (std::size_t i = 0; i < all.size(); i++, kills++) {
            Process& watching = all[order[i]];
            std::this_thread::sleep_until(started + moments[i]);
            for (const std::string& file : files_written_by(watching.pid())) {
                EXPECT_TRUE(ours.contains(file)) << file;
            }
            attached += !objects_of(watching.pid()).links.empty();
            watching.signal(SIGKILL);
            EXPECT_EQ(watching.wait(), 128 + SIGKILL);
        }
    }
    RecordProperty("attached", attached);
    RecordProperty("kills", kills);
    if (!on_emulated_machine()) {
        EXPECT_GE(kills, kKills);
    }
    EXPECT_TRUE(wait_until([&] { return left_behind_since(before) == KernelObjects{}; }, 10s))
        << to_string(left_behind_since(before));
    EXPECT_EQ(files_in("/sys/fs/bpf"), pinned);
    EXPECT_EQ(files_in(folder), std::set<std::string>{});
    std::filesystem::remove(folder);
    if (!polls()) {
        EXPECT_GT(attached, kills / 10) << "the kills came too early";
        EXPECT_LT(attached, kills - kills / 10) << "the kills came too late";
    }
}

}  // namespace
}  // namespace drainwatch::live
