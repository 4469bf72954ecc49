#include "output/alert_event.hpp"

#include "link.hpp"

#include <gtest/gtest.h>
#include <cerrno>

namespace drainwatch::alert_event_test {
namespace {

using test::kMs;
using test::kSecond;
using Kind = Alert::Kind;

/// Monotonic 100 s is 2026-11-23T07:25:01Z.
const ClockPair kClocks{100 * kSecond, 1795418701 * kSecond};

Alert alert(Kind kind)
{
    Alert a;
    a.kind = kind;
    a.severity = Severity::warning;
    a.at_ns = 100 * kSecond + 250 * kMs;
    a.episode = 3;
    a.sample = test::Link().sample(101 * kSecond);
    a.reason = "one plain sentence";
    a.zero_in_s = 1.2345;
    a.reading.queue_bytes = 1001;
    a.reading.unread_bytes = 1000;
    a.reading.age_ns = 1500 * kMs;
    a.reading.since_read_ns = 1499'600'000;
    a.reading.headroom_bytes = 64000;
    a.reading.rcvbuf_bytes = 131072;
    a.reading.rmem_bytes = 4000;
    a.reading.arrival_bytes_per_s = 1234.5;
    a.reading.drain_bytes_per_s = 0.4;
    a.duration_ns = 2500 * kMs;
    a.max_queue_bytes = 5000;
    a.zero_windows = 2;
    a.lead_ns = 700 * kMs;
    return a;
}

Json json_of(const Alert& a)
{
    const Event event = to_event(a, Process{"gip", 4242}, 7, kClocks);
    return Json::parse(render(event, OutputFormat::json, 1795418702 * kSecond));
}

void expect_queue_fields(const Json& json)
{
    EXPECT_EQ(json.at("queue_bytes"), 1001);
    EXPECT_EQ(json.at("unread_age_ms"), 1500);
    EXPECT_EQ(json.at("last_read_ms"), 1500);  // rounded
    EXPECT_EQ(json.at("headroom_bytes"), 64000);
    EXPECT_EQ(json.at("rcvbuf_bytes"), 131072);
    EXPECT_EQ(json.at("rmem_bytes"), 4000);
    EXPECT_EQ(json.at("arrival_bytes_per_s"), 1235);
    EXPECT_EQ(json.at("drain_bytes_per_s"), 0);
    EXPECT_EQ(json.at("zero_window_in_ms"), 1235);
}

TEST(AlertEvent, EveryKindHasWhatEveryEventAboutASocketHas)
{
    struct Case {
        Kind kind;
        const char* name;
    };
    for (const Case& c :
         {Case{Kind::not_draining, "not_draining"}, Case{Kind::falling_behind, "falling_behind"},
          Case{Kind::zero_window, "zero_window"}, Case{Kind::window_reopened, "window_reopened"},
          Case{Kind::recovered, "recovered"}, Case{Kind::link_reset, "link_reset"},
          Case{Kind::ended, "link_ended"}}) {
        const Json json = json_of(alert(c.kind));
        EXPECT_EQ(json.at("event"), c.name);
        EXPECT_EQ(json.at("ts"), "2026-11-23T07:25:02.000000Z") << c.name;  // when it was written
        EXPECT_EQ(json.at("severity"), "warning") << c.name;
        EXPECT_EQ(json.at("process"), Json::parse(R"({"comm":"gip","pid":4242})")) << c.name;
        EXPECT_EQ(json.at("socket").at("local"), "127.0.0.1:8765") << c.name;
        EXPECT_EQ(json.at("socket").at("remote"), "127.0.0.1:40000") << c.name;
        EXPECT_EQ(json.at("socket").at("cookie"), 77) << c.name;
        EXPECT_EQ(json.at("socket").at("fd"), 7) << c.name;
        EXPECT_EQ(json.at("episode"), 3) << c.name;
        EXPECT_EQ(json.at("reason"), "one plain sentence") << c.name;
    }
}

TEST(AlertEvent, QueueEventsHaveTheQueue)
{
    for (const Kind kind :
         {Kind::not_draining, Kind::falling_behind, Kind::zero_window, Kind::window_reopened}) {
        expect_queue_fields(json_of(alert(kind)));
    }
}

TEST(AlertEvent, WhatIsNotKnownIsNull)
{
    Alert a = alert(Kind::not_draining);
    a.reading.since_read_ns.reset();
    a.zero_in_s.reset();
    a.episode = 0;
    const Json json = json_of(a);
    EXPECT_TRUE(json.at("last_read_ms").is_null());
    EXPECT_TRUE(json.at("zero_window_in_ms").is_null());
    EXPECT_TRUE(json.at("episode").is_null());
}

TEST(AlertEvent, OfAWindowThatIsNotKnownSaysNothing)
{
    Alert a = alert(Kind::not_draining);
    a.reading.window_known = false;
    a.zero_in_s.reset();
    const Json json = json_of(a);
    for (const char* field :
         {"headroom_bytes", "rcvbuf_bytes", "rmem_bytes", "zero_window_in_ms"}) {
        EXPECT_TRUE(json.at(field).is_null()) << field;
    }
    EXPECT_EQ(json.at("queue_bytes"), 1001);
}

TEST(AlertEvent, SaysThatItIsEstimated)
{
    Alert a = alert(Kind::not_draining);
    EXPECT_FALSE(json_of(a).contains("estimated"));
    a.reading.estimated = true;
    for (const Kind kind :
         {Kind::not_draining, Kind::falling_behind, Kind::zero_window, Kind::window_reopened,
          Kind::recovered, Kind::link_reset, Kind::ended}) {
        a.kind = kind;
        EXPECT_EQ(json_of(a).at("estimated"), true);
    }
}

TEST(AlertEvent, AProcessThatIsNotKnownIsNull)
{
    const Event event = to_event(alert(Kind::not_draining), std::nullopt, std::nullopt, kClocks);
    const Json json = Json::parse(render(event, OutputFormat::json, 0));
    EXPECT_TRUE(json.at("process").is_null());
    EXPECT_TRUE(json.at("socket").at("fd").is_null());
}

TEST(AlertEvent, SaysWhenAnAgeIsALowerBound)
{
    Alert a = alert(Kind::not_draining);
    EXPECT_FALSE(json_of(a).contains("unread_age_is_lower_bound"));
    a.reading.age_is_lower_bound = true;
    EXPECT_EQ(json_of(a).at("unread_age_is_lower_bound"), true);
}

TEST(AlertEvent, WindowsHaveTheTimeOfTheirAnnouncement)
{
    for (const Kind kind : {Kind::zero_window, Kind::window_reopened}) {
        Alert a = alert(kind);
        EXPECT_EQ(json_of(a).at("announced_at"), "2026-11-23T07:25:01.250000Z");
        a.at_ns = 0;  // before the watch began
        EXPECT_TRUE(json_of(a).at("announced_at").is_null());
    }
}

TEST(AlertEvent, AWindowThatWasClosedBeforeTheWatchHasNoSuchTime)
{
    Alert a = alert(Kind::zero_window);
    a.was_before = true;
    EXPECT_TRUE(json_of(a).at("announced_at").is_null());
}

TEST(AlertEvent, ZeroWindowHasItsLead)
{
    Alert a = alert(Kind::zero_window);
    EXPECT_EQ(json_of(a).at("lead_ms"), 700);
    a.lead_ns.reset();
    EXPECT_TRUE(json_of(a).at("lead_ms").is_null());
}

TEST(AlertEvent, TheEndOfAnEpisodeSumsItUp)
{
    for (const Kind kind : {Kind::recovered, Kind::link_reset, Kind::ended}) {
        Alert a = alert(kind);
        Json json = json_of(a);
        EXPECT_EQ(json.at("duration_ms"), 2500);
        EXPECT_EQ(json.at("max_queue_bytes"), 5000);
        EXPECT_EQ(json.at("zero_windows"), 2);
        EXPECT_EQ(json.at("lead_ms"), 700);
        a.lead_ns.reset();
        json = json_of(a);
        EXPECT_TRUE(json.at("lead_ms").is_null());
        EXPECT_FALSE(json.contains("announced_at"));
    }
}

TEST(AlertEvent, AResetSaysWhenAndByWhom)
{
    Alert a = alert(Kind::link_reset);
    Json json = json_of(a);
    EXPECT_EQ(json.at("reset_at"), "2026-11-23T07:25:01.250000Z");
    EXPECT_EQ(json.at("unread_bytes"), 1000);
    EXPECT_EQ(json.at("side"), "peer");
    EXPECT_TRUE(json.at("by_pid").is_null());
    a.reset_by = Side::local;
    a.pid = 99;
    EXPECT_EQ(json_of(a).at("side"), "local");
    a.reading.estimated = true;
    EXPECT_TRUE(json_of(a).at("side").is_null());
    EXPECT_EQ(json_of(a).at("by_pid"), 99);
}

TEST(AlertEvent, AnEndingNamesTheErrorOfAConnectionThatWasGivenUp)
{
    Alert ended = alert(Kind::ended);
    EXPECT_EQ(json_of(ended).at("error"), nullptr);
    ended.error = ETIMEDOUT;
    EXPECT_EQ(json_of(ended).at("error"), "ETIMEDOUT");
    ended.error = 100'000;  // none that the C library knows
    EXPECT_EQ(json_of(ended).at("error"), nullptr);
}

TEST(AlertEvent, TextHasTheSameValues)
{
    const Event event = to_event(alert(Kind::not_draining), Process{"gip", 4242}, 7, kClocks);
    EXPECT_EQ(render(event, OutputFormat::text, 1795418702 * kSecond),
              "2026-11-23T07:25:02.000000Z warning  not_draining    gip(4242) "
              "127.0.0.1:8765 <- 127.0.0.1:40000 one plain sentence | episode=3 queue_bytes=1001 "
              "unread_age_ms=1500 last_read_ms=1500 headroom_bytes=64000 rcvbuf_bytes=131072 "
              "rmem_bytes=4000 arrival_bytes_per_s=1235 drain_bytes_per_s=0 "
              "zero_window_in_ms=1235");
}

}  // namespace
}  // namespace drainwatch::alert_event_test
