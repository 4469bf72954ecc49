// What is logged about a link, beside what is seen of it.
#include "support/scenario.hpp"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace drainwatch::live {
namespace {

using namespace std::chrono_literals;

class Links : public Scenario {
protected:
    Links() { std::filesystem::create_directory(folder_); }
    ~Links() override { std::filesystem::remove_all(folder_); }

    /// As a Communication Manager writes it, where the clock is nine hours ahead of UTC.
    [[nodiscard]] static std::string line(unsigned err, const std::string& peer)
    {
        const std::uint64_t now_ns = realtime_ns();
        const auto tokyo = static_cast<std::time_t>(now_ns / 1'000'000'000 + 9 * 3600);
        return fmt::format(
            "{:%Y%m%d:%H%M%S}{:03}:1:gip(4242):MED:[ IP_PROC_ERR: pro=7204, err={}, seq=1, "
            "da1=3(0x3), da2={}]\n",
            fmt::gmtime(tokyo), now_ns / 1'000'000 % 1000, err, peer);
    }

    void log(const std::string& text) const { std::ofstream(log_, std::ios::app) << text; }

    void stall()
    {
        watch_options_ = {"--cm-log", log_, "--log-timezone", "Asia/Tokyo"};
        play({}, {.message = 150, .spacing = 20'000us}, read_all);
        nap(300ms);
        control().hold = true;
        ASSERT_TRUE(watcher().wait_for(about(sender(), is_trouble), 4s));
    }

    /// The peer connects, for the so-manieth time, and resets its connection.
    void break_link(std::uint32_t number)
    {
        Sender& link = connect({.message = 150, .spacing = 20'000us});
        link.start();
        ASSERT_TRUE(wait_until([&] { return control().accepted == number; }, 5s));
        nap(50ms);
        link.reset();
        nap(100ms);
    }

    std::filesystem::path folder_ = std::filesystem::temp_directory_path() / unique_comm();
    std::filesystem::path log_ = folder_ / "log";
};

TEST_F(Links, log_line_is_tied_to_its_episode)
{
    log("what was there before\n" + line(203, "127.0.0.1"));
    stall();
    nap(500ms);
    log("no line of it\n" + line(204, "127.0.0.1") + line(203, "127.x.x.x"));
    const auto tied = watcher().wait_for(
        [](const Line& l) { return l.event() == "log" && l.json["err"] == 203; }, 2s);
    ASSERT_TRUE(tied);
    EXPECT_EQ(tied->json["severity"], "warning");
    EXPECT_EQ(tied->json["episode"], 1);
    EXPECT_NEAR(tied->json["after_warning_ms"].get<double>(), 500, 150);
    EXPECT_EQ(tied->json["process"]["comm"], "gip");
    EXPECT_EQ(tied->json["socket"]["remote"], fmt::format("127.0.0.1:{}", sender().port()));
    finish();
    const auto lines = watcher().lines(event_is("log"));
    ASSERT_EQ(lines.size(), 2U);
    EXPECT_EQ(lines.front().json["severity"], "info");
    EXPECT_TRUE(lines.front().json["episode"].is_null());
    EXPECT_EQ(watcher().lines(event_is("summary")).front().json["log_lines_unreadable"], 1);
}

TEST_F(Links, log_that_appears_later_and_is_rotated)
{
    stall();
    log(line(203, "10.1.1.1"));
    const auto has = [&](const std::string& peer) {
        return watcher().wait_for(
            [&](const Line& l) { return l.event() == "log" && l.json["da2"] == peer; }, 2s);
    };
    const auto other = has("10.1.1.1");
    ASSERT_TRUE(other);
    EXPECT_TRUE(other->json["episode"].is_null()) << "another peer";
    std::filesystem::rename(log_, folder_ / "log.1");
    log(line(203, "127.0.0.1"));
    const auto tied = has("127.0.0.1");
    ASSERT_TRUE(tied);
    EXPECT_EQ(tied->json["episode"], 1);
    std::filesystem::resize_file(log_, 0);
    nap(300ms);
    log(line(203, "127.0.0.x"));
    EXPECT_TRUE(has("127.0.0.x"));
    finish();
}

/// A reader of one connection, until it is told to stop.
void read_until_held(int fd, Control& control)
{
    std::array<char, 4096> buffer{};
    while (!control.hold && !control.quit) {
        if (recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT) <= 0) {
            nap(1ms);
        }
    }
}

/// A reader of all connections, that stops on demand.
void read_every_link(int listener, Control& control)
{
    std::vector<int> fds;
    std::array<char, 4096> buffer{};
    fcntl(listener, F_SETFL, O_NONBLOCK);
    while (!control.quit) {
        if (const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK); fd >= 0) {
            fds.push_back(fd);
            control.accepted++;
        }
        for (const int fd : fds) {
            while (!control.hold && recv(fd, buffer.data(), buffer.size(), 0) > 0) {
            }
        }
        nap(2ms);
    }
}

TEST_F(Links, sockets_that_stop_together_are_one_incident)
{
    make_target({}, read_every_link);
    watch();
    for (int i = 0; i < 3; i++) {
        connect({.message = 150, .spacing = 20'000us}).start();
    }
    ASSERT_TRUE(wait_until([&] { return control().accepted == 3; }, 5s));
    nap(300ms);
    control().hold = true;
    const auto raised = watcher().wait_for(event_is("incident"), 5s);
    ASSERT_TRUE(raised);
    EXPECT_EQ(raised->json["state"], "raised");
    EXPECT_EQ(raised->json["members"], 3);
    EXPECT_EQ(raised->json["process"]["comm"], comm());
    control().hold = false;
    const auto over = watcher().wait_for(
        [](const Line& l) { return l.event() == "incident" && l.json["state"] == "over"; }, 5s);
    ASSERT_TRUE(over);
    EXPECT_EQ(over->json["incident"], raised->json["incident"]);
    finish();
    for (const auto& sender : senders()) {
        EXPECT_FALSE(watcher().lines(about(*sender, is_trouble)).empty()) << "its own, in JSON";
    }
    const Json peers = watcher().lines(event_is("summary")).front().json["peers"];
    ASSERT_EQ(peers.size(), 1U);
    EXPECT_EQ(peers[0]["peer"], "127.0.0.1");
    EXPECT_EQ(peers[0]["episodes"], 3);
    EXPECT_GT(peers[0]["longest_stall_ms"], 1000);
}

/// In text, one line stands for all of them but the first, which did not wait for the others.
TEST_F(Links, incident_is_one_line_of_text)
{
    make_target({}, read_every_link);
    for (int i = 0; i < 3; i++) {
        connect({.message = 150, .spacing = 20'000us}).start();
    }
    ASSERT_TRUE(wait_until([&] { return control().accepted == 3; }, 5s));
    control().hold = true;
    std::vector<std::string> command{
        drainwatch_executable(), "watch", "--process", comm(), "--duration", "3s",
        "--critical-after",      "1h"};
    if (polls()) {
        command.insert(command.end(), {"--tier", "poll"});
    }
    const Outcome outcome = run(command);
    EXPECT_EQ(outcome.code, 1) << outcome.err;
    EXPECT_NE(outcome.out.find("3 sockets of " + comm() + " stopped together"), std::string::npos)
        << outcome.out;
    std::istringstream lines(outcome.out);
    int told = 0;
    for (std::string text; std::getline(lines, text);) {
        told += text.find(" not_draining ") != std::string::npos;
    }
    EXPECT_EQ(told, 1) << outcome.out;
}

TEST_F(Links, connection_that_is_replaced)
{
    make_target({}, read_every_link);
    watch();
    Sender& old = connect({.message = 150, .spacing = 20'000us});
    old.start();
    Sender& other = connect({.message = 150, .spacing = 20'000us});
    other.start();
    ASSERT_TRUE(wait_until([&] { return control().accepted == 2; }, 5s));
    nap(500ms);
    EXPECT_TRUE(watcher().lines(event_is("link_replaced")).empty()) << "both are read";
    other.drop();
    control().hold = true;
    ASSERT_TRUE(watcher().wait_for(about(old, is_trouble), 4s));
    const Sender& fresh = connect({});
    const auto replaced = watcher().wait_for(about(old, event_is("link_replaced")), 2s);
    ASSERT_TRUE(replaced);
    EXPECT_EQ(replaced->json["severity"], "warning");
    EXPECT_EQ(replaced->json["by"], fmt::format("127.0.0.1:{}", fresh.port()));
    EXPECT_FALSE(replaced->json["episode"].is_null());
    EXPECT_GT(replaced->json["queue_bytes"], 1000);
    finish();
    const Json peers = watcher().lines(event_is("summary")).front().json["peers"];
    ASSERT_EQ(peers.size(), 1U);
    EXPECT_EQ(peers[0]["replacements"], 1);
    EXPECT_EQ(peers[0]["connections"], 3);
}

/// What happened to Communication Manager, from the last read to the line in its log.
TEST_F(Links, the_incident)
{
    constexpr std::uint32_t kStale = 1;
    make_target({.rcvbuf = 16384}, [](int listener, Control& own) {
        const int link = accept(listener, nullptr, nullptr);
        own.accepted++;
        read_until_held(link, own);
        // It takes the new connection, takes the old one to be stale, and puts it away.
        accept(listener, nullptr, nullptr);
        own.accepted++;
        while (own.child != kStale && !own.quit) {
            nap(2ms);
        }
        close(link);
        while (!own.quit) {
            nap(10ms);
        }
    });
    watch({"--cm-log", log_, "--log-timezone", "Asia/Tokyo"});
    Sender& old = connect({.message = 150, .spacing = 20'000us});
    old.start();
    ASSERT_TRUE(wait_until([&] { return control().accepted == 1; }, 5s));
    nap(500ms);
    control().hold = true;
    ASSERT_TRUE(watcher().wait_for(about(old, event_is("zero_window")), 10s));
    connect({});
    ASSERT_TRUE(watcher().wait_for(about(old, event_is("link_replaced")), 2s));
    control().child = kStale;
    // Polling cannot tell a reset by this side from any other end.
    const std::string end = polls() ? "link_ended" : "link_reset";
    ASSERT_TRUE(watcher().wait_for(about(old, event_is(end)), 2s));
    log(line(203, "127.x.x.x"));
    ASSERT_TRUE(watcher().wait_for(event_is("log"), 2s));
    EXPECT_EQ(finish(), 2);

    const std::set<std::string> links{"not_draining", "zero_window", "link_replaced", end, "log"};
    std::vector<std::string> story;
    std::string last_ts;
    for (const Line& told : watcher().lines([](const Line&) { return true; })) {
        EXPECT_GE(told.json["ts"].get<std::string>(), last_ts) << "one timeline";
        last_ts = told.json["ts"];
        const bool again = std::find(story.begin(), story.end(), told.event()) != story.end();
        if (links.contains(told.event()) && !again) {
            story.push_back(told.event());
            EXPECT_EQ(told.json["episode"], 1) << told.json;
        }
    }
    EXPECT_EQ(story, (std::vector<std::string>{"not_draining", "zero_window", "link_replaced", end,
                                               "log"}));
    EXPECT_GT(watcher().lines(event_is("zero_window")).front().json["lead_ms"], 0);
    EXPECT_GT(watcher().lines(event_is("log")).front().json["after_warning_ms"], 0);
}

TEST_F(Links, resets_again_and_again_are_flapping)
{
    if (polls()) {
        GTEST_SKIP() << "polling does not see resets of connections that live for a tick";
    }
    make_target({}, read_every_link);
    watch();
    for (std::uint32_t i = 1; i <= 6; i++) {
        break_link(i);
    }
    finish();
    const auto lines = watcher().lines(event_is("link_flapping"));
    ASSERT_EQ(lines.size(), 2U);
    EXPECT_EQ(lines[0].json["state"], "raised");
    EXPECT_EQ(lines[0].json["breaks"], 3);
    EXPECT_EQ(lines[0].json["peer"], "127.0.0.1");
    EXPECT_EQ(lines[1].json["state"], "goes_on");
    EXPECT_EQ(lines[1].json["breaks"], 6);
}

/// Nobody knows what they carried before the watch.
TEST_F(Links, idle_links_from_before_the_start_break_as_well)
{
    if (polls()) {
        GTEST_SKIP()
            << "polling cannot tell the reset of a connection with nothing unread from its end";
    }
    make_target({}, read_every_link);
    std::vector<Sender*> links;
    for (std::uint32_t i = 1; i <= 3; i++) {
        links.push_back(&connect({}));
        ASSERT_TRUE(wait_until([&] { return control().accepted == i; }, 5s));
    }
    watch();
    for (Sender* link : links) {
        link->reset();
    }
    EXPECT_TRUE(watcher().wait_for(event_is("link_flapping"), 3s));
    finish();
}

/// A balancer asks so whether the port is open, every few seconds.
TEST_F(Links, checks_of_health_that_reset_are_no_links)
{
    make_target({}, read_every_link);
    watch();
    for (std::uint32_t i = 1; i <= 6; i++) {
        Sender& check = connect({});
        ASSERT_TRUE(wait_until([&] { return control().accepted == i; }, 5s));
        check.reset();
        nap(60ms);
    }
    EXPECT_EQ(finish(), 0);
    EXPECT_TRUE(watcher().lines(event_is("link_flapping")).empty());
}

/// Five minutes, which pass at once on an emulated machine whose clock counts instructions.
TEST_F(Links, flapping_is_over_after_five_quiet_minutes)
{
    if (polls()) {
        GTEST_SKIP() << "polling does not see resets of connections that live for a tick";
    }
    if (!on_emulated_machine()) {
        GTEST_SKIP() << "it takes five minutes here; scripts/vm-test runs it";
    }
    make_target({}, [](int listener, Control& own) {
        fcntl(listener, F_SETFL, O_NONBLOCK);
        while (!own.quit) {
            own.accepted += accept(listener, nullptr, nullptr) >= 0 ? 1 : 0;
            nap(20ms);
        }
    });
    duration_ = "400s";
    watch();
    for (std::uint32_t i = 1; i <= 3; i++) {
        break_link(i);
    }
    ASSERT_TRUE(watcher().wait_for(event_is("link_flapping"), 2s));
    const auto over = watcher().wait_for(
        [](const Line& l) { return l.event() == "link_flapping" && l.json["state"] == "over"; },
        310s);
    ASSERT_TRUE(over);
    EXPECT_EQ(over->json["severity"], "info");
    EXPECT_EQ(over->json["breaks"], 3);
    finish();
    const auto lines = watcher().lines(event_is("link_flapping"));
    ASSERT_EQ(lines.size(), 2U);
    EXPECT_GE(lines[1].read_ns - lines[0].read_ns, 299'500'000'000U);
    EXPECT_LE(lines[1].read_ns - lines[0].read_ns, 301'000'000'000U);
}

}  // namespace
}  // namespace drainwatch::live
