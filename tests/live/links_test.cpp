// What is logged about a link, beside what is seen of it.
#include "support/scenario.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
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

}  // namespace
}  // namespace drainwatch::live
