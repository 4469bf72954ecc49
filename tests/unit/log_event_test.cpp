#include "output/log_event.hpp"

#include "durations.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

namespace drainwatch::log_event_test {
namespace {

using test::kSecond;

/// Monotonic 100 s is 2018-08-31T04:27:20Z.
const ClockPair kClocks{100 * kSecond, 1535689640 * kSecond};

cmlog::Logged incident()
{
    return {"/var/log/ecs/commandhistory",
            1535689661 * kSecond + 508'000'000,
            {"gip", 29543},
            "MED",
            {"IP_PROC_ERR", 7204, 203, 24085, std::uint64_t{3},
             *cmlog::AddressPattern::parse("10.x.x.x")}};
}

Json json_of(const cmlog::Logged& logged, const KnownEpisode* episode)
{
    return Json::parse(render(to_event(logged, episode, kClocks), OutputFormat::json, 0));
}

TEST(LogEvent, OfTheIncident)
{
    KnownEpisode episode;
    episode.number = 4;
    episode.socket.local = {AF_INET, {10, 1, 2, 3}, 8765};
    episode.socket.remote = {AF_INET, {10, 9, 9, 9}, 40000};
    episode.first_warning_ns = 100 * kSecond;
    const Json json = json_of(incident(), &episode);
    EXPECT_EQ(json.at("event"), "log");
    EXPECT_EQ(json.at("severity"), "warning");
    EXPECT_EQ(json.at("process").at("comm"), "gip");
    EXPECT_EQ(json.at("socket").at("remote"), "10.9.9.9:40000");
    EXPECT_EQ(json.at("logged_at"), "2018-08-31T04:27:41.508000Z");
    EXPECT_EQ(json.at("pro"), 7204);
    EXPECT_EQ(json.at("err"), 203);
    EXPECT_EQ(json.at("da1"), "3");
    EXPECT_EQ(json.at("da2"), "10.x.x.x");
    EXPECT_EQ(json.at("episode"), 4);
    EXPECT_EQ(json.at("after_warning_ms"), 21508);
    EXPECT_EQ(json.at("reason"),
              "gip logged IP_PROC_ERR 7204/203: 10.x.x.x connects again, its old connection is "
              "given up; of episode 4, 21.5 s after its first warning");
}

TEST(LogEvent, OfNoEpisode)
{
    const Json json = json_of(incident(), nullptr);
    EXPECT_TRUE(json.at("episode").is_null());
    EXPECT_TRUE(json.at("after_warning_ms").is_null());
    EXPECT_EQ(json.at("reason"),
              "gip logged IP_PROC_ERR 7204/203: 10.x.x.x connects again, its old connection is "
              "given up");
}

TEST(LogEvent, OfAnotherError)
{
    cmlog::Logged other = incident();
    other.error.err = 204;
    EXPECT_EQ(client_of_stale_link(other.error), nullptr);
    const Json json = json_of(other, nullptr);
    EXPECT_EQ(json.at("severity"), "info");
    EXPECT_EQ(json.at("reason"), "gip logged IP_PROC_ERR 7204/204");
}

}  // namespace
}  // namespace drainwatch::log_event_test
