#include "profile/comparison.hpp"
#include "profile/folded.hpp"
#include "profile/report.hpp"
#include "profile/system_calls.hpp"
#include "profile/units.hpp"

#include <gtest/gtest.h>
#include <algorithm>
#include <random>

namespace drainwatch::profile_report_test {
namespace {

constexpr std::int32_t kRead = 0;
constexpr std::int32_t kFutex = 202;

bool has_line_with(const std::vector<std::string>& lines, const std::string& text)
{
    return std::any_of(lines.begin(), lines.end(), [&](const std::string& line) {
        return line.find(text) != std::string::npos;
    });
}

Measurement busy_measurement()
{
    Measurement m;
    m.duration_ns = 10'000'000'000;
    m.processes[29543] = "gip";
    m.threads[29543] = {29543, "gip"};
    m.threads[29544] = {29543, "work;er"};
    for (const std::uint32_t tid : {29543, 29544}) {
        Measured& group = m.groups[tid];
        for (std::uint64_t i = 1; i <= 1000; i++) {
            group.distributions[DW_DIST_READ_LATENCY].add(i * 50'000);
            group.distributions[DW_DIST_WAKEUP].add(i * 30'000);
            group.distributions[DW_DIST_APPLICATION].add(i * 20'000);
            group.distributions[DW_DIST_READ_BYTES].add(150);
        }
        group.distributions[DW_DIST_EMPTY_READS].add(0, 3);
        group.distributions[DW_DIST_TLS_READ].add(90'000, 100);
        group.distributions[DW_DIST_TLS_LATENCY].add(80'000, 100);
        group.distributions[DW_DIST_TLS_ABOVE_SOCKET].add(20'000, 100);
        group.distributions[DW_DIST_TLS_READ_ERRORS].add(0, 2);
        group.distributions[DW_DIST_QUEUE_BYTES].add(300, 10'000'000);
        group.waiting.add(DW_THREAD_RUNNING, DW_NO_CALL, 100'000);
        group.waiting.add(DW_THREAD_RUNNABLE, DW_NO_CALL, 200'000);
        group.waiting.add(DW_THREAD_SLEEPING, kFutex, 500'000);
        group.waiting.add(DW_THREAD_SLEEPING, kRead, 200'000);
    }
    return m;
}

TEST(ProfileReport, shares_add_up)
{
    const Report report = make_report(busy_measurement(), DW_GROUP_THREAD, "gip");
    const Shares& waiting = report.figures.waiting;
    EXPECT_NEAR(waiting.running, 0.1, 1e-9);
    EXPECT_NEAR(waiting.runnable, 0.2, 1e-9);
    EXPECT_NEAR(waiting.sleeping, 0.7, 1e-9);
    EXPECT_NEAR(waiting.calls.at("futex"), 0.5, 1e-9);
    EXPECT_NEAR(waiting.calls.at("read"), 0.2, 1e-9);
}

TEST(ProfileReport, says_why_it_is_slow)
{
    Measurement m = busy_measurement();
    EXPECT_EQ(verdict(make_report(m, DW_GROUP_THREAD, "gip")),
              "gip is slow because it sleeps: 70 % of the time that data waited, in futex 50 %");
    m.groups[29543].waiting.running_ns = 100'000'000;
    EXPECT_NE(verdict(make_report(m, DW_GROUP_THREAD, "gip")).find("does something else"),
              std::string::npos);
    m.groups[29543].waiting.runnable_ns = 1'000'000'000;
    EXPECT_NE(verdict(make_report(m, DW_GROUP_THREAD, "gip")).find("gets no CPU"),
              std::string::npos);
}

TEST(ProfileReport, says_that_it_is_not_slow)
{
    Measurement m = busy_measurement();
    m.groups.clear();
    m.groups[0].distributions[DW_DIST_READ_LATENCY].add(50'000, 100);
    m.groups[0].distributions[DW_DIST_READ_BYTES].add(1, 100);
    EXPECT_TRUE(verdict(make_report(m, DW_GROUP_ALL, "gip")).starts_with("gip keeps up"));
}

/// Reads for nine seconds, each within 50 us, and then none.
Measurement stopped_measurement(std::uint64_t unread_for_ns)
{
    Measurement m;
    m.duration_ns = 10'000'000'000;
    m.processes[1] = "gip";
    m.groups[0].distributions[DW_DIST_READ_LATENCY].add(50'000, 1000);
    m.groups[0].distributions[DW_DIST_READ_BYTES].add(150, 1000);
    m.groups[0].waiting.add(DW_THREAD_SLEEPING, kFutex, unread_for_ns);
    m.groups[0].unread = {1, 36'000, unread_for_ns};
    return m;
}

TEST(ProfileReport, fast_reads_do_not_hide_that_there_are_none_any_more)
{
    const Report report = make_report(stopped_measurement(4'200'000'000), DW_GROUP_ALL, "gip");
    EXPECT_EQ(verdict(report),
              "gip leaves data unread: 36000 bytes in 1 socket, the oldest for 4.20 s, "
              "because it sleeps: 100 % of the time that data waited, in futex 100 %");
    const Json json = to_event(report).fields;
    EXPECT_EQ(json["unread_sockets"], 1);
    EXPECT_EQ(json["unread_bytes"], 36'000);
    EXPECT_EQ(json["oldest_unread_ms"], 4200.0);
}

/// A measurement ends between an arrival and its read now and then.
TEST(ProfileReport, what_came_a_moment_ago_is_not_left_unread)
{
    Measurement m = stopped_measurement(300'000'000);
    Report report = make_report(m, DW_GROUP_ALL, "gip");
    EXPECT_TRUE(verdict(report).starts_with("gip keeps up")) << verdict(report);
    EXPECT_TRUE(has_line_with(to_text(report),
                              "unread at the end: 36000 bytes in 1 socket, the oldest for 300 ms"));
    m.duration_ns = 1'000'000'000;  // of which it is the greater part here
    report = make_report(m, DW_GROUP_ALL, "gip");
    EXPECT_TRUE(verdict(report).starts_with("gip leaves data unread")) << verdict(report);
    m.groups[0].unread = {};
    report = make_report(m, DW_GROUP_ALL, "gip");
    EXPECT_FALSE(has_line_with(to_text(report), "unread at the end"));
    EXPECT_TRUE(to_event(report).fields["oldest_unread_ms"].is_null());
}

/// Whose reads never came to the end of what had arrived has no latencies: that is not none.
TEST(ProfileReport, what_was_not_measured_is_no_zero)
{
    Measurement m;
    m.duration_ns = 10'000'000'000;
    m.processes[7] = "gip";
    m.threads[7] = {7, "gip"};
    m.groups[7].distributions[DW_DIST_READ_BYTES].add(1, 3);
    m.groups[7].unread = {1, 60'000, 9'000'000'000};
    Report report = make_report(m, DW_GROUP_THREAD, "gip");
    EXPECT_TRUE(has_line_with(
        to_text(report), "        3        -        -        -   9.00 s     -      -     -  gip"));
    const Figures measured = make_report(busy_measurement(), DW_GROUP_ALL, "gip").figures;
    report.comparison = compare("x", measured, report.figures);
    const Json json = to_json(*report.comparison);
    EXPECT_TRUE(json["read_latency_ns"]["p99"]["after"].is_null());
    EXPECT_TRUE(json["read_latency_ns"]["p99"]["ratio"].is_null());
    EXPECT_TRUE(json["waiting"]["sleeping"]["after"].is_null());
    EXPECT_TRUE(json["read_latency_ns"]["p99"]["before"].is_number());
    EXPECT_TRUE(json["reads_per_s"]["ratio"].is_number());
    const auto lines = to_text(report);
    const auto row = std::find_if(lines.begin(), lines.end(), [](const std::string& line) {
        return line.starts_with("read_latency_ns.p99 ");
    });
    ASSERT_NE(row, lines.end());
    EXPECT_TRUE(row->ends_with(" -           -")) << *row;
}

TEST(ProfileReport, no_reads_are_one_line)
{
    Measurement m;
    m.duration_ns = 10'000'000'000;
    m.processes[1] = "gip";
    EXPECT_EQ(to_text(make_report(m, DW_GROUP_ALL, "gip")),
              std::vector<std::string>{"no reads in 10 s"});
    m.processes.clear();
    EXPECT_NE(verdict(make_report(m, DW_GROUP_ALL, "gip")).find("no such process"),
              std::string::npos);
}

TEST(ProfileReport, groups_are_named_and_escaped)
{
    const Report report = make_report(busy_measurement(), DW_GROUP_THREAD, "gip");
    ASSERT_EQ(report.groups.size(), 2U);
    EXPECT_EQ(report.groups[0].name, "gip(29543)/gip(29543)");
    EXPECT_EQ(report.groups[1].name, "gip(29543)/work;er(29544)");
}

/// A script that asks for groups finds the list, however many there are.
TEST(ProfileReport, groups_that_were_asked_for_are_a_list)
{
    Measurement none;
    EXPECT_EQ(to_event(make_report(none, DW_GROUP_SOCKET, "gip")).fields.at("groups"),
              Json::array());
    EXPECT_FALSE(to_event(make_report(none, DW_GROUP_ALL, "gip")).fields.contains("groups"));
}

TEST(ProfileReport, text_fits_the_terminal)
{
    Report report = make_report(busy_measurement(), DW_GROUP_ALL, "gip");
    report.not_measured = {1, 2, 3, 4, 5, 6, 7};
    report.comparison = compare("before.json", report.figures, report.figures);
    for (const std::string& line : to_text(report)) {
        EXPECT_LE(line.size(), 80U) << line;
    }
}

TEST(ProfileReport, tells_of_tls_calls)
{
    Measurement m = busy_measurement();
    m.tls.libraries.push_back({"OpenSSL", "/lib/libssl.so.3", "SSL_read", 2});
    const Report report = make_report(m, DW_GROUP_ALL, "gip");
    EXPECT_NEAR(report.figures.tls_above_socket().value_or(0), 0.25, 1e-9);
    const Json json = to_event(report).fields;
    EXPECT_EQ(json["tls_read_ns"]["count"], 200);
    EXPECT_EQ(json["tls_read_errors"], 4);
    EXPECT_EQ(json["tls_handshake_errors"], 0);
    EXPECT_EQ(json["tls_above_socket"], 0.25);
    EXPECT_EQ(json["tls"], Json::parse(R"([{"library": "OpenSSL", "path": "/lib/libssl.so.3",
                                            "calls": "SSL_read", "processes": 2}])"));
    EXPECT_EQ(json["missing"], Json::array());
    const auto text = to_text(report);
    EXPECT_TRUE(
        has_line_with(text, "TLS by OpenSSL (/lib/libssl.so.3): 200 reads, 0 empty, 4 fail"));
    EXPECT_TRUE(has_line_with(text, "TLS latency"));
    EXPECT_TRUE(has_line_with(text, "25.0 %"));
    EXPECT_FALSE(has_line_with(text, "TLS handshake")) << "there was none";
    for (const std::string& line : text) {
        EXPECT_LE(line.size(), 80U) << line;
    }
}

TEST(ProfileReport, without_a_tls_library_one_sentence_says_so)
{
    Measurement m = busy_measurement();
    m.groups.clear();
    Report report = make_report(m, DW_GROUP_ALL, "gip");
    EXPECT_TRUE(report.figures.tls_above_socket() == std::nullopt);
    const Json json = to_event(report).fields;
    EXPECT_TRUE(json["tls_above_socket"].is_null());
    ASSERT_EQ(json["missing"].size(), 1U);
    EXPECT_EQ(json["missing"][0]["program"], "tls");
    EXPECT_FALSE(has_line_with(to_text(report), "note: tls")) << "there may be nothing to find";
    report.tls_library = "/opt/libssl.so";
    EXPECT_TRUE(has_line_with(to_text(report), "note: tls: no target has /opt/libssl.so mapped"));
    report.tls.missing.push_back({"NSS /lib/libnss3.so", "cannot be traced", "not measured"});
    EXPECT_FALSE(tls_not_found(report));
    EXPECT_TRUE(has_line_with(to_text(report), "note: NSS /lib/libnss3.so: cannot be traced"));
}

TEST(ProfileReport, compared_with_itself_nothing_has_changed)
{
    const Report report = make_report(busy_measurement(), DW_GROUP_ALL, "gip");
    const Comparison same = compare("x", report.figures, report.figures);
    for (const Change& change : same.changes) {
        EXPECT_EQ(change.ratio().value_or(1), 1) << change.name;
    }
    const Json json = to_json(same);
    EXPECT_EQ(json["read_latency_ns"]["p99"]["ratio"], 1.0);
    EXPECT_FALSE(json.contains("peeks"));
}

std::string saved()
{
    return render(to_event(make_report(busy_measurement(), DW_GROUP_ALL, "gip")),
                  OutputFormat::json, 0);
}

TEST(SavedProfile, comes_back_as_it_was)
{
    const Figures before = make_report(busy_measurement(), DW_GROUP_ALL, "gip").figures;
    const auto after = parse_saved(saved());
    ASSERT_TRUE(after) << after.error().message;
    EXPECT_EQ(after->duration_ns, before.duration_ns);
    for (const NamedDistribution& named : kNamedDistributions) {
        EXPECT_EQ(after->of(named.which).buckets(), before.of(named.which).buckets());
        EXPECT_EQ(after->of(named.which).quantile(0.99), before.of(named.which).quantile(0.99));
        EXPECT_NEAR(after->of(named.which).mean(), before.of(named.which).mean(), 0.06);
    }
    EXPECT_EQ(after->of(DW_DIST_EMPTY_READS).count(), 6U);
    EXPECT_NEAR(after->waiting.sleeping, before.waiting.sleeping, 1e-6);
}

/// What was saved before TLS calls were measured can be compared with still.
TEST(SavedProfile, of_an_older_version)
{
    Json json = Json::parse(saved());
    for (const char* name : {"tls_read_ns", "tls_read_latency_ns", "tls_above_socket_ns",
                             "tls_handshake_ns", "tls_empty_reads", "tls_read_errors",
                             "tls_handshake_errors", "tls_above_socket", "tls"}) {
        ASSERT_EQ(json.erase(name), 1U) << name;
    }
    const auto figures = parse_saved(json.dump());
    ASSERT_TRUE(figures) << figures.error().message;
    EXPECT_EQ(figures->of(DW_DIST_READ_LATENCY).count(), 2000U);
    EXPECT_EQ(figures->of(DW_DIST_TLS_READ).count(), 0U);
    json["tls_read_ns"] = 5;
    EXPECT_FALSE(parse_saved(json.dump()));
}

TEST(SavedProfile, what_is_wrong_is_said_in_our_words)
{
    Json json = Json::parse(saved());
    json["waiting"].erase("calls");
    EXPECT_EQ(parse_saved(json.dump()).error().message, "it has no \"calls\"");
    json["read_latency_ns"] = 5;
    EXPECT_EQ(parse_saved(json.dump()).error().message, "it has no \"buckets\"");
}

TEST(SavedProfile, garbage_is_refused)
{
    const Json good = Json::parse(saved());
    const auto without = [&](auto&& change) {
        Json bad = good;
        change(bad);
        return parse_saved(bad.dump()).has_value();
    };
    EXPECT_TRUE(without([](Json&) {}));
    EXPECT_FALSE(without([](Json& j) { j["event"] = "start"; }));
    EXPECT_FALSE(without([](Json& j) { j.erase("duration_ms"); }));
    EXPECT_FALSE(without([](Json& j) { j["duration_ms"] = -1; }));
    EXPECT_FALSE(without([](Json& j) { j["duration_ms"] = 1e300; }));
    EXPECT_FALSE(without([](Json& j) { j["read_latency_ns"] = 5; }));
    EXPECT_FALSE(without([](Json& j) { j["read_latency_ns"]["count"] = 1; }));
    EXPECT_FALSE(without([](Json& j) { j["read_latency_ns"]["buckets"] = "many"; }));
    EXPECT_FALSE(without([](Json& j) { j["read_latency_ns"]["buckets"][1][0] = 1; }));
    EXPECT_FALSE(without([](Json& j) { j["read_latency_ns"]["buckets"][1] = {1}; }));
    EXPECT_FALSE(without([](Json& j) { j["read_latency_ns"]["buckets"][1][1] = -4; }));
    EXPECT_FALSE(without([](Json& j) { j["waiting"]["running"] = 2; }));
    EXPECT_FALSE(without([](Json& j) { j["waiting"]["calls"] = {1, 2}; }));
    EXPECT_FALSE(without([](Json& j) { j["empty_reads"] = "none"; }));
    for (const char* text : {"", "{", "null", "[]", "\xff", "{\"event\":\"profile\"}"}) {
        EXPECT_FALSE(parse_saved(text)) << text;
    }
    EXPECT_FALSE(parse_saved(std::string(100'000, '['))) << "nested without end";
}

/// Bytes at random places changed, cut or doubled: refused, or taken; never worse.
TEST(SavedProfile, mutations_do_no_harm)
{
    const std::string good = saved();
    std::mt19937 random(8765);  // NOLINT(cert-msc51-cpp): the same each time
    for (int round = 0; round < 3000; round++) {
        std::string bad = good;
        for (unsigned changes = 1 + random() % 4; changes > 0; changes--) {
            const std::size_t at = random() % bad.size();
            switch (random() % 3) {
                case 0: bad[at] = static_cast<char>(random()); break;
                case 1: bad.erase(at, 1 + random() % 20); break;
                default: bad.insert(at, bad.substr(random() % bad.size(), 1 + random() % 20));
            }
        }
        if (const auto figures = parse_saved(bad)) {
            Report report;
            report.comparison = compare("bad", *figures, *figures);
            EXPECT_FALSE(to_text(report).empty());
        }
    }
}

TEST(FoldedStacks, one_line_for_each_stack)
{
    Measurement m;
    m.processes[1] = "gi p;x";
    m.stacks.push_back({1, DW_THREAD_SLEEPING, 35, {0x20, 0x11, 0x10}, {0x30, 0x31}, 100});
    m.stacks.push_back({1, DW_THREAD_SLEEPING, 35, {0x20, 0x11, 0x10}, {0x30, 0x31}, 11});
    m.stacks.push_back({1, DW_THREAD_RUNNABLE, -1, {0x10}, {}, 7});
    m.stacks.push_back({2, DW_THREAD_SLEEPING, -1, {}, {}, 5});
    const FrameNames names{[](std::uint64_t address) {
                               return address >= 0x20 ? std::string("bpf_prog_x")
                                                      : std::to_string(address);
                           },
                           [](std::uint32_t pid, std::uint64_t address) {
                               return std::to_string(pid) + ":" + std::to_string(address);
                           }};
    EXPECT_EQ(fold_stacks(m, names),
              "?(2);[asleep since before] 5\n"
              "gi p:x;16_[k];[no CPU] 7\n"
              "gi p:x;1:48;1:48;15_[k];16_[k] 111\n");
}

TEST(SystemCalls, have_their_names)
{
    EXPECT_EQ(system_call_name(0), "read");
    EXPECT_EQ(system_call_name(232), "epoll_wait");
    EXPECT_EQ(system_call_name(DW_COMPAT_CALL + 3), "read (32-bit)");
    EXPECT_EQ(system_call_name(DW_NO_CALL), "no system call");
    EXPECT_EQ(system_call_name(99999), "system call 99999");
}

TEST(Units, have_three_digits)
{
    EXPECT_EQ(duration_in_words(0), "0 ns");
    EXPECT_EQ(duration_in_words(999), "999 ns");
    EXPECT_EQ(duration_in_words(999.6), "1.00 us");
    EXPECT_EQ(duration_in_words(12'340), "12.3 us");
    EXPECT_EQ(duration_in_words(2.5e9), "2.50 s");
    EXPECT_EQ(duration_in_words(3.4e12), "3400 s");
    EXPECT_EQ(bytes_in_words(150), "150 B");
    EXPECT_EQ(bytes_in_words(65536), "64.0 KiB");
}

}  // namespace
}  // namespace drainwatch::profile_report_test
