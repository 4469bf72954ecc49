// What watching does to the host: nothing is lost in silence, no right is kept without need,
// and nothing stays behind.
#include "drainwatch/abi.h"
#include "host/file.hpp"
#include "support/kernel_objects.hpp"
#include "support/namespace.hpp"
#include "support/scenario.hpp"

#include <bpf/bpf.h>
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
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <span>
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

/// Whatever it goes through, it stays as small as it may be with 100,000 sockets.
void expect_small(pid_t pid)
{
    constexpr unsigned long kMostKiB = 32 * 1024;
    const unsigned long resident_kib = std::stoul(status_of(pid)["VmRSS:"]);
    testing::Test::RecordProperty("resident_kib", std::to_string(resident_kib));
    EXPECT_LT(resident_kib, kMostKiB);
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

void accept_all(int listener, Control& own)
{
    while (!own.quit) {
        accept(listener, nullptr, nullptr);
        own.accepted++;
    }
}

/// Four times as many sockets as the table holds: whichever stops being read is told of.
TEST_F(Harm, sockets_in_trouble_are_kept_before_the_idle_ones)
{
    const std::size_t room = polls() ? 100 : 250;
    const std::size_t sockets = 4 * room;
    // Those among the first have a slot; of the others, more than there is room for at once: most
    // have to be given one that was idle.
    constexpr std::size_t kStalled = 60;
    constexpr std::size_t kTogether = 10;
    // One that polls finds a socket that it does not follow in a full look, which may take 0.3 % of
    // a CPU: how soon it comes is a matter of how fast that is.
    constexpr auto kFound = 20s;
    make_target({.backlog = static_cast<int>(sockets)}, accept_all);
    for (std::size_t i = 0; i < sockets; i++) {
        connect({.message = 150, .spacing = 20'000us});
    }
    ASSERT_TRUE(wait_until([&] { return control().accepted == sockets; }, 5s));
    watch({"--max-sockets", std::to_string(room)});
    // The first look was at every descriptor, and has to be paid for by time before the next one.
    nap(polls() ? 8000ms : 2500ms);
    for (std::size_t i = 0; i < kStalled; i++) {
        Sender& stalled = *senders()[i * (sockets / kStalled)];
        const std::uint64_t began_ns = realtime_ns();
        stalled.start();
        if (i % kTogether == kTogether - 1) {
            const auto warning = watcher().wait_for(about(stalled, is_trouble), kFound);
            ASSERT_TRUE(warning) << "socket " << i;
            if (!polls()) {
                EXPECT_LT(static_cast<double>(warning->read_ns - began_ns) / 1e9, 1.3);
            }
            nap(300ms);
        }
    }
    for (std::size_t i = 0; i < kStalled; i++) {
        Sender& stalled = *senders()[i * (sockets / kStalled)];
        EXPECT_TRUE(watcher().wait_for(about(stalled, is_trouble), kFound)) << "socket " << i;
    }
    expect_small(watcher().pid());
    finish();
    EXPECT_TRUE(watcher().lines(event_is("lost")).empty())
        << "there was a slot for each that had data";
    EXPECT_TRUE(watcher().lines(event_is("link_replaced")).empty()) << "none of them is new";
    if (!polls()) {
        EXPECT_GT(watcher().lines(event_is("start")).front().json["memory_bytes"], room * 512);
    }
}

/// Twice as many sockets as the table holds, which has the first half as the watch begins. Looks
/// are far apart: what becomes of those is not known yet when another one wants a place.
class FullTable : public Harm {
protected:
    void connect_and_watch()
    {
        make_target({.backlog = static_cast<int>(2 * room_)}, accept_all);
        connect_half();
        watch({"--max-sockets", std::to_string(room_), "--tick", "5s"});
        connect_half();
        nap(2500ms);  // they are found, and that there is no room for them
    }

    [[nodiscard]] std::span<const std::unique_ptr<Sender>> in_table() const
    {
        return std::span(senders()).first(room_);
    }
    [[nodiscard]] std::span<const std::unique_ptr<Sender>> left_out() const
    {
        return std::span(senders()).subspan(room_);
    }

private:
    void connect_half()
    {
        const std::size_t sockets = senders().size() + room_;
        while (senders().size() < sockets) {
            connect({.message = 150, .spacing = 20'000us});
        }
        ASSERT_TRUE(wait_until([&] { return control().accepted == sockets; }, 5s));
    }

    std::size_t room_ = polls() ? 16 : 256;  ///< the least there is
};

TEST_F(FullTable, a_socket_with_data_keeps_its_place)
{
    connect_and_watch();
    for (const auto& sender : in_table()) {
        sender->start();
    }
    nap(100ms);
    for (const auto& sender : left_out()) {
        sender->start();
    }
    EXPECT_TRUE(watcher().wait_for(event_is("lost"), 15s)) << "there is no place for those";
    for (const auto& sender : in_table()) {
        EXPECT_TRUE(watcher().wait_for(about(*sender, is_trouble), 15s));
    }
    for (const auto& sender : left_out()) {
        EXPECT_TRUE(watcher().lines(about(*sender, is_trouble)).empty());
    }
    finish();
}

TEST_F(FullTable, one_with_nothing_but_a_fin_does_not)
{
    connect_and_watch();
    for (const auto& sender : in_table()) {
        sender->finish();
    }
    nap(100ms);
    for (const auto& sender : left_out()) {
        sender->start();
    }
    for (const auto& sender : left_out()) {
        EXPECT_TRUE(watcher().wait_for(about(*sender, is_trouble), 20s));
    }
    finish();
}

/// How many sockets a watch has in its table.
std::size_t sockets_in_table(pid_t watcher)
{
    std::size_t sockets = 0;
    for (const std::uint32_t id : objects_of(watcher).maps) {
        const File map(bpf_map_get_fd_by_id(id));
        bpf_map_info info{};
        std::uint32_t size = sizeof(info);
        if (!map || bpf_obj_get_info_by_fd(map.get(), &info, &size) != 0 ||
            std::string_view(info.name) != "slots") {
            continue;
        }
        dw_slot slot{};
        for (std::uint32_t i = 0; i < info.max_entries; i++) {
            sockets += bpf_map_lookup_elem(map.get(), &i, &slot) == 0 && slot.cookie != 0;
        }
    }
    return sockets;
}

/// More than are looked at in full before the start: that is made up for, and whichever stops being
/// read is told of, and whose it is.
TEST_F(Harm, a_crowd_of_idle_sockets_is_watched)
{
    if (on_emulated_machine()) {
        GTEST_SKIP() << "it would take minutes to connect them";
    }
    constexpr std::size_t kSockets = 5000;
    constexpr std::size_t kStalled = 10;
    make_target({.backlog = 1024}, accept_all);
    for (std::size_t i = 1; i <= kSockets; i++) {
        connect({.message = 150, .spacing = 20'000us});
        if (i % 1000 == 0) {
            ASSERT_TRUE(wait_until([&] { return control().accepted == i; }, 10s));
        }
    }
    watch({"--max-sockets", "8192"});
    if (!polls()) {
        EXPECT_TRUE(wait_until([&] { return sockets_in_table(watcher().pid()) == kSockets; }, 10s));
    }
    const auto stalled_one = [&](std::size_t i) -> Sender& {
        return *senders()[i * (kSockets / kStalled)];
    };
    for (std::size_t i = 0; i < kStalled; i++) {
        stalled_one(i).start();
    }
    for (std::size_t i = 0; i < kStalled; i++) {
        const auto warning = watcher().wait_for(about(stalled_one(i), is_trouble), 20s);
        ASSERT_TRUE(warning) << "socket " << i;
        EXPECT_EQ(warning->json["process"]["pid"], target().pid());
        EXPECT_TRUE(warning->json["socket"]["fd"].is_number());
    }
    expect_small(watcher().pid());
    finish();
    EXPECT_TRUE(watcher().lines(event_is("lost")).empty());
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
