// What is printed is what the kernel has: ss and tcpdump are the witnesses.
#include "support/namespace.hpp"
#include "support/scenario.hpp"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <csignal>
#include <regex>
#include <vector>

namespace drainwatch::live {
namespace {

using namespace std::chrono_literals;

class Exactness : public Scenario {
protected:
    /// The warning's age against the time at which tcpdump saw the byte.
    void expect_age_of_byte(const Line& warning, std::uint64_t offset)
    {
        finish();
        const auto sent = witness().byte_sent_ns(sender().port(), offset);
        ASSERT_TRUE(sent);
        const std::uint64_t written = parse_time(warning.json["ts"]);
        const double age_ms = static_cast<double>(written - *sent) / 1e6;
        // between the look and the line the owner is looked up; a poll may be a tick late
        EXPECT_NEAR(warning.json["unread_age_ms"].get<double>(), age_ms, polls() ? 70.0 : 20.0);
        // tcp_info counts in jiffies, of 10 ms at most
        EXPECT_LE(warning.json["unread_age_ms"].get<double>(), age_ms + (polls() ? 11.0 : 1.0));
    }
};

/// `name` followed by a number, in the output of ss.
std::int64_t number_after(const std::string& text, const std::string& name)
{
    std::smatch match;
    return std::regex_search(text, match, std::regex(name + "(\\d+)")) ? std::stoll(match[1]) : -1;
}

/// Where the host translates ports, segments that leave have others than their socket: their
/// windows are seen as they are announced all the same.
TEST_F(Exactness, zero_window_where_ports_are_translated)
{
    constexpr std::uint16_t kOutside = 8700;
    const NetworkNamespace netns;
    make_target({.rcvbuf = 48 * 1024, .netns = netns.name()}, Target::one_connection(read_all));
    const Outcome translated =
        run({"ip", "netns", "exec", netns.name(), "nft",
             fmt::format("add table ip nat; "
                         "add chain ip nat out {{ type nat hook output priority -100; }}; "
                         "add chain ip nat in {{ type nat hook prerouting priority -100; }}; "
                         "add rule ip nat out tcp dport {} redirect to :{}",
                         kOutside, target().port())});
    if (translated.code != 0) {
        GTEST_SKIP() << "ports cannot be translated here: " << translated.err;
    }
    watch();
    Sender sender(kOutside, {.message = 700, .spacing = 5000us, .netns = netns.name()});
    sender.start();
    ASSERT_TRUE(wait_until([&] { return control().accepted > 0; }, 5s));
    nap(300ms);
    control().hold = true;
    const auto zero = watcher().wait_for(about(sender, event_is("zero_window")), 8s);
    ASSERT_TRUE(zero);
    EXPECT_NE(zero->json["socket"]["local"], fmt::format("127.0.0.1:{}", kOutside));
    EXPECT_EQ(zero->json.contains("estimated"), polls()) << zero->json;
    control().hold = false;
    const auto open = watcher().wait_for(about(sender, event_is("window_reopened")), 2s);
    ASSERT_TRUE(open);
    EXPECT_EQ(open->json.contains("estimated"), polls()) << open->json;
    finish();
}

TEST_F(Exactness, queue_memory_and_window_are_those_of_the_kernel)
{
    play({.rcvbuf = 48 * 1024}, {.message = 700, .spacing = 5000us}, read_all);
    nap(500ms);
    control().hold = true;
    nap(100ms);
    sender().pause();
    const auto warning = watcher().wait_for(
        [](const Line& l) { return l.is_trouble() && l.json["severity"] == "critical"; }, 5s);
    ASSERT_TRUE(warning);
    // Nothing has moved since.
    const Outcome ss = run({"ss", "-tmiHn", fmt::format("sport = :{}", target().port())});
    std::smatch queue;
    ASSERT_TRUE(std::regex_search(ss.out, queue, std::regex("ESTAB\\s+(\\d+)"))) << ss.out;
    EXPECT_GT(warning->json["queue_bytes"], 0);
    EXPECT_EQ(warning->json["queue_bytes"], std::stoll(queue[1])) << ss.out;
    EXPECT_EQ(warning->json["rmem_bytes"], number_after(ss.out, "skmem:\\(r")) << ss.out;
    EXPECT_EQ(warning->json["rcvbuf_bytes"], number_after(ss.out, ",rb")) << ss.out;
    const int wscale = static_cast<int>(number_after(ss.out, "wscale:\\d+,"));
    finish();
    std::uint32_t announced = 0;
    for (const Segment& s : witness().segments()) {
        announced = s.source == target().port() && s.ack && !s.syn ? s.window : announced;
    }
    if (polls()) {
        return;  // what the next ACK will announce rests on an estimate of what segments cost
    }
    // It is what the last one did, for nothing came in between.
    EXPECT_EQ(warning->json["headroom_bytes"], announced << wscale);
}

TEST_F(Exactness, age_is_that_of_the_oldest_unread_byte)
{
    play({}, {.message = 150, .spacing = 20'000us}, read_all);
    nap(500ms);
    control().hold = true;
    nap(50ms);
    const std::uint64_t read = control().bytes_read;
    const auto warning = watcher().wait_for(about(sender(), is_trouble), 4s);
    ASSERT_TRUE(warning);
    expect_age_of_byte(*warning, read);
}

/// Two messages, 300 ms apart; only the first is read. The second is the oldest then.
TEST_F(Exactness, partial_read_moves_the_oldest_on)
{
    play({}, {.message = 100, .spacing = 300'000us}, [](int fd, Control& control) {
        char buffer[100];
        nap(700ms);
        const ssize_t length = recv(fd, buffer, sizeof(buffer), 0);
        control.bytes_read += length > 0 ? static_cast<std::uint64_t>(length) : 0;
    });
    nap(450ms);
    sender().pause();
    const auto warning = watcher().wait_for(about(sender(), is_trouble), 5s);
    ASSERT_TRUE(warning);
    EXPECT_EQ(control().bytes_read, 100U);
    EXPECT_GT(warning->json["unread_age_ms"], warning->json["last_read_ms"]);
    expect_age_of_byte(*warning, 100);
}

/// drainwatch stands still while the ring overflows: the verdict comes all the same, from the
/// kernel's counters, and the losses are said.
TEST_F(Exactness, lost_notices_change_no_verdict)
{
    if (polls()) {
        GTEST_SKIP() << "polling has no notices to lose";
    }
    play({.rcvbuf = 48 * 1024}, {}, read_all);
    nap(500ms);
    watcher().process().signal(SIGSTOP);
    const Process busy = Process::fork([&] {
        for (int i = 0; i < 10'000; i++) {
            prctl(PR_SET_NAME, comm().c_str());  // a target appears
            prctl(PR_SET_NAME, "nobody");        // and is none any more
        }
        nap(60s);
    });
    nap(500ms);
    control().hold = true;
    nap(4s);  // the window closes meanwhile
    watcher().process().signal(SIGCONT);
    EXPECT_TRUE(watcher().wait_for(about(sender(), is_trouble), 2s));
    const auto zero = watcher().wait_for(about(sender(), event_is("zero_window")), 2s);
    ASSERT_TRUE(zero);
    const auto lost = watcher().wait_for(event_is("lost"), 3s);
    ASSERT_TRUE(lost);
    EXPECT_GT(lost->json["ring_full"], 0);
    finish();
    const auto truth = witness().first_zero_ns(sender().port());
    ASSERT_TRUE(truth);
    EXPECT_NEAR(static_cast<double>(parse_time(zero->json["announced_at"])),
                static_cast<double>(*truth), 2e6);
}

}  // namespace
}  // namespace drainwatch::live
