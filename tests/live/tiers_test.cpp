// Hosts that do not offer everything: the best tier that works, named, or one sentence and exit 3.
#include "support/scenario.hpp"

#include <fmt/format.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <fstream>
#include <string>
#include <thread>

namespace drainwatch::live {
namespace {

using namespace std::chrono_literals;

constexpr auto kNobody = 65534;

const std::vector<std::string> kOrdinaryUser{"setpriv", "--reuid=65534", "--clear-groups"};
const std::vector<std::string> kRootWithoutBpf{"setpriv", "--bounding-set=-bpf,-sys_admin"};
/// A mount namespace hides the kernel's BTF.
const std::vector<std::string> kWithoutBtf{
    "unshare", "--mount", "sh", "-c", "mount -t tmpfs none /sys/kernel/btf && exec \"$0\" \"$@\""};

std::vector<std::string> operator+(std::vector<std::string> a, const std::vector<std::string>& b)
{
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

/// From this thread, and from what it forks.
bool refuse_perf_events()
{
    std::array<sock_filter, 4> instructions{
        sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_perf_event_open, 0, 1),
        sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
        sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    const sock_fprog filter{instructions.size(), instructions.data()};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

/// The doctor's verdict, run by `wrapper`.
struct Verdict {
    int code = -1;
    Json json;
};

class Tiers : public Scenario {
protected:
    void SetUp() override
    {
        Scenario::SetUp();
        if (polls()) {
            GTEST_SKIP() << "chooses its tiers itself";
        }
    }

    Verdict diagnose(const std::vector<std::string>& wrapper)
    {
        const Outcome outcome =
            run(wrapper + std::vector<std::string>{drainwatch_executable(), "doctor", "--output",
                                                   "json", "--process", comm()});
        return {outcome.code, Json::parse(outcome.out)};
    }

    /// One sentence that holds all of `words`, and exit 3.
    static void expect_cannot(const std::vector<std::string>& command,
                              const std::vector<std::string>& words)
    {
        const Outcome outcome = run(command);
        EXPECT_EQ(outcome.code, 3);
        EXPECT_EQ(outcome.out, "");
        for (const std::string& word : words) {
            EXPECT_NE(outcome.err.find(word), std::string::npos) << outcome.err;
        }
        EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    }

    /// A stall of a link with ordinary traffic is told of, by polling, within half a second after
    /// it is due, and clears.
    void expect_stall_is_polled(const std::string& why)
    {
        const auto start = watcher().lines(event_is("start")).front();
        EXPECT_EQ(start.json["tier"], "poll");
        const std::string reason = start.json["missing"].front()["reason"];
        EXPECT_NE(reason.find(why), std::string::npos) << reason;
        EXPECT_NE(start.json["missing"].front()["cost"], "");
        nap(1s);
        const std::uint64_t held_ns = realtime_ns();
        control().hold = true;
        const auto warning = watcher().wait_for(about(sender(), is_trouble), 3s);
        ASSERT_TRUE(warning);
        EXPECT_LT(static_cast<double>(warning->read_ns - held_ns) / 1e9, 1.5);
        EXPECT_EQ(warning->json["estimated"], true);
        EXPECT_EQ(warning->json["process"]["comm"], comm());
        control().hold = false;
        EXPECT_TRUE(watcher().wait_for(about(sender(), event_is("recovered")), 5s));
        finish();
    }

    const Flow slow_{.message = 150, .spacing = 20'000us};
};

TEST_F(Tiers, everything_is_there)
{
    const Verdict verdict = diagnose({});
    EXPECT_EQ(verdict.code, 0);
    EXPECT_EQ(verdict.json["tier"], "bpf");
    for (const Json& check : verdict.json["checks"]) {
        EXPECT_NE(check["outcome"], "bad") << check;
        EXPECT_NE(check["found"], "") << check;
        EXPECT_TRUE(check["outcome"] == "ok" || !check["advice"].get<std::string>().empty())
            << check;
    }
}

TEST_F(Tiers, without_btf)
{
    watch_wrapper_ = kWithoutBtf;
    play({}, slow_, read_all);
    expect_stall_is_polled("BTF");
    const Verdict verdict = diagnose(kWithoutBtf);
    EXPECT_EQ(verdict.code, 1);
    EXPECT_EQ(verdict.json["tier"], "poll");
    EXPECT_NE(verdict.json["blind_spots"], "");
    expect_cannot(
        kWithoutBtf + std::vector<std::string>{drainwatch_executable(), "watch", "--tier", "bpf"},
        {"BTF"});
}

TEST_F(Tiers, root_without_the_capabilities_of_bpf)
{
    watch_wrapper_ = kRootWithoutBpf;
    play({}, slow_, read_all);
    expect_stall_is_polled("CAP_BPF");
    EXPECT_EQ(diagnose(kRootWithoutBpf).code, 1);
    expect_cannot(kRootWithoutBpf +
                      std::vector<std::string>{drainwatch_executable(), "watch", "--tier", "bpf"},
                  {"CAP_BPF", "root"});
}

/// Before it had a capability of its own, BPF was allowed by this one; it still is.
TEST_F(Tiers, root_with_cap_sys_admin_alone)
{
    watch_wrapper_ = {"setpriv", "--bounding-set=-bpf,-perfmon"};
    play({}, slow_, read_all);
    const Json start = watcher().lines(event_is("start")).front().json;
    EXPECT_EQ(start["tier"], "bpf");
    const Json& kept = start["capabilities"];
    EXPECT_NE(std::find(kept.begin(), kept.end(), "CAP_SYS_ADMIN"), kept.end()) << kept;
    control().hold = true;
    EXPECT_TRUE(watcher().wait_for(about(sender(), is_trouble), 3s));
    control().hold = false;
    EXPECT_TRUE(watcher().wait_for(about(sender(), event_is("recovered")), 5s));
    EXPECT_EQ(finish(), 1);
}

/// BPF is told pids that /proc does not know there.
TEST_F(Tiers, in_a_container_with_pids_of_its_own)
{
    const std::vector<std::string> inside{"unshare", "--pid", "--fork", "--mount-proc"};
    const std::vector<std::string> watch{drainwatch_executable(), "watch"};
    const Verdict verdict = diagnose(inside);
    EXPECT_EQ(verdict.code, 1);
    EXPECT_EQ(verdict.json["tier"], "poll");
    expect_cannot(inside + watch + std::vector<std::string>{"--tier", "bpf"}, {"pids", "host"});
    const Outcome polled =
        run(inside + watch + std::vector<std::string>{"--duration", "100ms", "--output", "json"});
    EXPECT_EQ(polled.code, 0) << polled.err;
    const Json start = Json::parse(polled.out.substr(0, polled.out.find('\n')));
    EXPECT_EQ(start["tier"], "poll");
    EXPECT_NE(start["missing"].front()["reason"].get<std::string>().find("pids"),
              std::string::npos);
}

/// Some hosts keep perf events from everyone: then it watches by BPF, without TLS, and says so.
TEST_F(Tiers, bpf_without_perf_events)
{
    // The filter is this thread's and its children's: those live as long as it does.
    std::thread([this] {
        if (!refuse_perf_events()) {
            GTEST_SKIP() << "this kernel has no seccomp filters";
        }
        play({}, slow_, read_all);
        const Json start = watcher().lines(event_is("start")).front().json;
        EXPECT_EQ(start["tier"], "bpf");
        const Json* tls = nullptr;
        for (const Json& part : start["missing"]) {
            EXPECT_NE(part["program"], "bpf");
            tls = part["program"] == "tls" ? &part : tls;
        }
        ASSERT_NE(tls, nullptr) << start["missing"];
        EXPECT_NE((*tls)["reason"].get<std::string>().find("the buffer of streams"),
                  std::string::npos);
        EXPECT_NE((*tls)["cost"], "");
        control().hold = true;
        EXPECT_TRUE(watcher().wait_for(about(sender(), is_trouble), 3s));
        control().hold = false;
        EXPECT_TRUE(watcher().wait_for(about(sender(), event_is("recovered")), 5s));
        finish();
        control().quit = true;
    }).join();
}

/// As Secure Boot sets it on some hosts, or the kernel command line: BPF may not read the kernel.
TEST_F(Tiers, lockdown_for_confidentiality)
{
    std::ifstream lockdown("/sys/kernel/security/lockdown");
    std::string modes;
    std::getline(lockdown, modes);
    if (modes.find("[confidentiality]") == std::string::npos) {
        GTEST_SKIP() << "this kernel is not locked down";
    }
    play({}, slow_, read_all);
    expect_stall_is_polled("lockdown");
    EXPECT_EQ(diagnose({}).code, 1);
    expect_cannot({drainwatch_executable(), "watch", "--tier", "bpf"}, {"lockdown"});
}

TEST_F(Tiers, ordinary_user_watches_a_process_of_his_own)
{
    watch_wrapper_ = kOrdinaryUser;
    const auto serve = Target::one_connection(read_all);
    make_target({}, [&](int listener, Control& control) {
        if (setuid(kNobody) == 0 && prctl(PR_SET_DUMPABLE, 1) == 0) {
            control.child = 1;  // he has it now
            serve(listener, control);
        }
    });
    ASSERT_TRUE(wait_until([&] { return control().child != 0; }, 2s));
    watch();
    connect(slow_).start();
    expect_stall_is_polled("CAP_BPF");
    EXPECT_EQ(diagnose(kOrdinaryUser).code, 1);
}

TEST_F(Tiers, ordinary_user_cannot_watch_a_process_of_root)
{
    make_target({}, Target::one_connection(read_all));
    expect_cannot(kOrdinaryUser + std::vector<std::string>{drainwatch_executable(), "watch",
                                                           "--process", comm()},
                  {"CAP_BPF", "descriptors", "root"});
    EXPECT_EQ(diagnose(kOrdinaryUser).code, 3);
}

TEST_F(Tiers, poll_by_the_older_request)
{
    watch_options_ = {"--tier", "poll", "--without", "inet_diag_req_v2"};
    play({}, slow_, read_all);
    expect_stall_is_polled("--tier poll");
}

/// Each family has to be listed for itself, the second one, too.
TEST_F(Tiers, poll_where_the_older_request_is_refused)
{
    watch_options_ = {"--tier", "poll", "--without", "inet_diag_req"};
    Flow slow = slow_;
    slow.family = AF_INET6;
    play({.family = AF_INET6}, slow, read_all);
    expect_stall_is_polled("--tier poll");
}

TEST_F(Tiers, poll_by_proc)
{
    watch_options_ = {"--tier",           "poll",      "--without",
                      "inet_diag_req_v2", "--without", "inet_diag_req"};
    play({}, slow_, read_all);
    const auto start = watcher().lines(event_is("start")).front();
    EXPECT_EQ(start.json["missing"].size(), 2) << "that there are no windows is said";
    expect_stall_is_polled("--tier poll");
    const auto warning = watcher().lines(is_trouble).front();
    EXPECT_TRUE(warning.json["headroom_bytes"].is_null());
    EXPECT_TRUE(warning.json["zero_window_in_ms"].is_null());
}

/// Nothing tells of it but its age: in both tiers on time.
TEST_F(Tiers, stall_is_told_on_time_by_either)
{
    for (const auto& [tier, late_ms] : {std::pair{"bpf", 100.0}, {"poll", 500.0}}) {
        SCOPED_TRACE(tier);
        watch_options_ = {"--tier", tier};
        make_target({}, Target::one_connection(read_all));
        capture();
        watch();
        Sender& sender = connect({.message = 150, .spacing = 100'000us});
        sender.start();
        nap(1s);
        control().hold = true;
        const auto warning = watcher().wait_for(about(sender, is_trouble), 3s);
        ASSERT_TRUE(warning);
        const std::uint64_t read = control().bytes_read;
        finish();
        const auto oldest = witness().byte_sent_ns(sender.port(), read);
        ASSERT_TRUE(oldest);
        const double after_ms = static_cast<double>(warning->read_ns - *oldest) / 1e6 - 1000;
        RecordProperty(std::string("late_ms_") + tier, fmt::format("{:.1f}", after_ms));
        EXPECT_GE(after_ms, -5) << "before it was due";
        EXPECT_LE(after_ms, late_ms);
        control().quit = true;
    }
}

}  // namespace
}  // namespace drainwatch::live
