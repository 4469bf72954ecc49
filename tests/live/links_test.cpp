// What is logged about a link, beside what is seen of it.
#include "support/scenario.hpp"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <array>
#include <ctime>
#include <filesystem>
#include <fstream>

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

TEST_F(Links, resets_again_and_again_are_flapping)
{
    make_target({}, read_every_link);
    watch();
    for (int i = 1; i <= 4; i++) {
        Sender& link = connect({.message = 150, .spacing = 20'000us});
        link.start();
        ASSERT_TRUE(
            wait_until([&] { return control().accepted == static_cast<std::uint32_t>(i); }, 5s));
        nap(50ms);
        const linger at_once{1, 0};
        setsockopt(link.fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        link.drop();
        nap(100ms);
    }
    finish();
    const auto lines = watcher().lines(event_is("link_flapping"));
    ASSERT_EQ(lines.size(), 2U);
    EXPECT_EQ(lines[0].json["state"], "raised");
    EXPECT_EQ(lines[0].json["breaks"], 3);
    EXPECT_EQ(lines[0].json["peer"], "127.0.0.1");
    EXPECT_EQ(lines[1].json["state"], "goes_on");
    EXPECT_EQ(lines[1].json["breaks"], 4);
}

}  // namespace
}  // namespace drainwatch::live
