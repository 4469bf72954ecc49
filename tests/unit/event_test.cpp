#include "output/event.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

namespace drainwatch::event_test {
namespace {

constexpr std::uint64_t kWritten = 1795418701'123'456'789;  // 2026-11-23T07:25:01.123456Z

SocketSample sample()
{
    SocketSample s;
    s.cookie = Cookie{0xffff'ffff'ffff'fff0};
    s.local = {AF_INET, {127, 0, 0, 1}, 8765};
    s.remote = {AF_INET6, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 40000};
    s.netns = 4026531840;
    return s;
}

Event event()
{
    Event e;
    e.name = "not_draining";
    e.severity = Severity::critical;
    e.process = Process{"gip", 4242};
    e.socket = socket_json(sample(), 7);
    e.reason = "no read for 2.0 s";
    e.fields["queue_bytes"] = 1000;
    e.fields["last_read_ms"] = nullptr;
    e.fields["by"] = "a b";
    return e;
}

TEST(Severity, Names)
{
    EXPECT_EQ(to_string(Severity::info), "info");
    EXPECT_EQ(to_string(Severity::warning), "warning");
    EXPECT_EQ(to_string(Severity::critical), "critical");
    EXPECT_LT(Severity::info, Severity::warning);
    EXPECT_LT(Severity::warning, Severity::critical);
}

TEST(JsonLine, IsOneObjectWithWhatEveryEventHas)
{
    const std::string line = render(event(), OutputFormat::json, kWritten);
    EXPECT_EQ(line.find('\n'), std::string::npos);
    const Json json = Json::parse(line);
    EXPECT_EQ(json.at("ts"), "2026-11-23T07:25:01.123456Z");
    EXPECT_EQ(json.at("event"), "not_draining");
    EXPECT_EQ(json.at("severity"), "critical");
    EXPECT_EQ(json.at("process"), Json::parse(R"({"comm":"gip","pid":4242})"));
    EXPECT_EQ(json.at("socket"), Json::parse(R"({"local":"127.0.0.1:8765","remote":"[::1]:40000",
                                                 "cookie":18446744073709551600,
                                                 "netns":4026531840,"fd":7})"));
    EXPECT_EQ(json.at("reason"), "no read for 2.0 s");
    EXPECT_EQ(json.at("queue_bytes"), 1000);
    EXPECT_TRUE(json.at("last_read_ms").is_null());
}

TEST(JsonLine, LeavesOutWhatAnEventHasNot)
{
    Event e;
    e.name = "start";
    const Json json = Json::parse(render(e, OutputFormat::json, kWritten));
    EXPECT_EQ(json.size(), 3U);
    EXPECT_EQ(json.at("severity"), "info");
}

TEST(JsonLine, AnUnknownDescriptorIsNull)
{
    EXPECT_TRUE(socket_json(sample(), std::nullopt).at("fd").is_null());
    EXPECT_EQ(socket_json(sample(), 0).at("fd"), 0);
}

TEST(JsonLine, ANameOfAnyBytesParses)
{
    Event e = event();
    e.process = Process{"\xff\x1b[2J\n\"}\\", 1};
    const std::string line = render(e, OutputFormat::json, kWritten);
    EXPECT_EQ(line.find('\n'), std::string::npos);
    EXPECT_EQ(Json::parse(line).at("process").at("comm"), R"(\xff\x1b[2J\x0a"}\x5c)");
}

TEST(TextLine, HasTimeSeverityEventProcessSocketSentenceAndValues)
{
    EXPECT_EQ(render(event(), OutputFormat::text, kWritten),
              "2026-11-23T07:25:01.123456Z critical not_draining    gip(4242) "
              "127.0.0.1:8765 <- [::1]:40000 no read for 2.0 s | "
              "queue_bytes=1000 last_read_ms=null by=\"a b\"");
}

TEST(TextLine, LeavesOutWhatAnEventHasNot)
{
    Event e;
    e.name = "start";
    EXPECT_EQ(render(e, OutputFormat::text, kWritten),
              "2026-11-23T07:25:01.123456Z info     start          ");
}

TEST(TextLine, ValuesAreUnmistakable)
{
    Event e;
    e.name = "x";
    e.fields["plain"] = "bpf";
    e.fields["empty"] = "";
    e.fields["quoted"] = "a \"b\"";
    e.fields["equals"] = "a=b";
    e.fields["yes"] = true;
    e.fields["number"] = 2.5;
    e.fields["list"] = Json::array({"gip", "gop"});
    const std::string line = render(e, OutputFormat::text, kWritten);
    EXPECT_EQ(line.substr(line.find('|')),
              R"(| plain=bpf empty="" quoted="a \"b\"" equals="a=b" yes=true number=2.5 )"
              R"(list=["gip","gop"])");
}

TEST(TextLine, ANameDoesNotSteerTheTerminal)
{
    Event e = event();
    e.process = Process{"\x1b[2J\nx", 1};
    const std::string line = render(e, OutputFormat::text, kWritten);
    EXPECT_NE(line.find(R"(\x1b[2J\x0ax(1))"), std::string::npos) << line;
    EXPECT_EQ(line.find('\x1b'), std::string::npos);
    EXPECT_EQ(line.find('\n'), std::string::npos);
}

}  // namespace
}  // namespace drainwatch::event_test
