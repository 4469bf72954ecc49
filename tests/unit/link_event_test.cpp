#include "output/link_event.hpp"

#include "link.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

namespace drainwatch::link_event_test {
namespace {

using test::kSecond;

/// Monotonic 100 s is 2026-11-23T07:25:01Z.
const ClockPair kClocks{100 * kSecond, 1795418701 * kSecond};

Json json_of(const Event& event)
{
    return Json::parse(render(event, OutputFormat::json, 1795418702 * kSecond));
}

Incident incident(Incident::State state)
{
    Incident i;
    i.state = state;
    i.number = 2;
    i.process = {"gip", 42};
    i.began_ns = 100 * kSecond;
    i.at_ns = 101 * kSecond;
    i.sockets = {Cookie{70}, Cookie{71}, Cookie{72}};
    i.episodes = {3, 4, 5};
    i.worst.episode = 4;
    i.worst.severity = Severity::critical;
    i.worst.sample = test::Link().sample(101 * kSecond);
    i.worst.reason = "no read for 2.0 s";
    return i;
}

TEST(IncidentEvent, OneLineForAll)
{
    const Json json = json_of(to_event(incident(Incident::State::raised), kClocks));
    EXPECT_EQ(json.at("event"), "incident");
    EXPECT_EQ(json.at("severity"), "critical");
    EXPECT_EQ(json.at("incident"), 2);
    EXPECT_EQ(json.at("state"), "raised");
    EXPECT_EQ(json.at("members"), 3);
    EXPECT_EQ(json.at("episodes"), (Json{3, 4, 5}));
    EXPECT_EQ(json.at("worst_episode"), 4);
    EXPECT_EQ(json.at("began_at"), "2026-11-23T07:25:01.000000Z");
    EXPECT_EQ(json.at("process").at("pid"), 42);
    EXPECT_EQ(json.at("reason"),
              "3 sockets of gip stopped together; the worst, 127.0.0.1:8765 <- 127.0.0.1:40000: no "
              "read for 2.0 s");
}

TEST(IncidentEvent, Over)
{
    const Json json = json_of(to_event(incident(Incident::State::over), kClocks));
    EXPECT_EQ(json.at("severity"), "info");
    EXPECT_EQ(json.at("state"), "over");
    EXPECT_EQ(json.at("duration_ms"), 1000);
    EXPECT_EQ(json.at("reason"), "3 sockets of gip are out of trouble after 1.0 s");
}

TEST(FlappingEvent, SaysHowOftenAndWhose)
{
    const Flapping flapping{
        Flapping::State::raised, {7, AF_INET, {10, 1, 2, 3}}, 3, 100 * kSecond, 220 * kSecond};
    Json json = json_of(to_event(flapping, kClocks));
    EXPECT_EQ(json.at("event"), "link_flapping");
    EXPECT_EQ(json.at("severity"), "warning");
    EXPECT_EQ(json.at("state"), "raised");
    EXPECT_EQ(json.at("peer"), "10.1.2.3");
    EXPECT_EQ(json.at("breaks"), 3);
    EXPECT_EQ(json.at("reason"), "links of 10.1.2.3 broke 3 times in 2 min");
    Flapping over = flapping;
    over.state = Flapping::State::over;
    json = json_of(to_event(over, kClocks));
    EXPECT_EQ(json.at("severity"), "info");
    EXPECT_EQ(json.at("state"), "over");
}

TEST(PeersJson, ARowForEach)
{
    Peers peers;
    const Peer peer{7, AF_INET, {10, 1, 2, 3}};
    peers.connected(peer, 1);
    peers.episode_begun(peer, 1);
    peers.episode_over(peer, 2 * kSecond, 1);
    const Json rows = peers_json(peers);
    ASSERT_EQ(rows.size(), 1U);
    EXPECT_EQ(rows[0].at("peer"), "10.1.2.3");
    EXPECT_EQ(rows[0].at("connections"), 1);
    EXPECT_EQ(rows[0].at("episodes"), 1);
    EXPECT_EQ(rows[0].at("longest_stall_ms"), 2000);
}

}  // namespace
}  // namespace drainwatch::link_event_test
