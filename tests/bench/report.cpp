#include "bench/report.hpp"

#include "bench/plot.hpp"
#include "bench/results.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace drainwatch::bench {
namespace {

constexpr double kMega = 1 << 20;
constexpr std::size_t kShownOfALine = 240;

/// Bold where the goal is missed.
std::string marked(const std::string& figure, bool met)
{
    return met ? figure : "**" + figure + "**";
}

std::vector<std::string> distinct(const Json& rows, const char* member)
{
    std::vector<std::string> values;
    for (const Json& row : rows) {
        const std::string value = row.at(member);
        if (std::find(values.begin(), values.end(), value) == values.end()) {
            values.push_back(value);
        }
    }
    return values;
}

std::string table_row(const std::vector<std::string>& cells)
{
    return fmt::format("| {} |\n", fmt::join(cells, " | "));
}

std::string table_head(const std::vector<std::string>& cells)
{
    return table_row(cells) + table_row(std::vector<std::string>(cells.size(), "---"));
}

/// "0.957 (0.955 to 0.958)"
std::string with_interval(const Json& estimate, int digits)
{
    return fmt::format("{:.{}f} ({:.{}f} to {:.{}f})", estimate.at("median").get<double>(), digits,
                       estimate.at("low").get<double>(), digits, estimate.at("high").get<double>(),
                       digits);
}

/// A page that grows, and where its plots go.
struct Page {
    std::filesystem::path docs;
    std::string text{};

    void add_plot(const std::string& name, const Plot& plot)
    {
        const std::string file = fmt::format("benchmarks-{}.svg", name);
        draw(plot, docs / file);
        text += fmt::format("\n![{}]({})\n", plot.title, file);
    }
};

// ---- in the kernel

const Json* find_row(const Json& rows, const std::string& traffic, const std::string& program,
                     const std::string& what)
{
    for (const Json& row : rows) {
        if (row.at("traffic") == traffic && row.at("program") == program &&
            row.at("what") == what) {
            return &row;
        }
    }
    return nullptr;
}

std::string kernel_table(const Json& rows, const std::string& what, const std::string& title)
{
    const auto traffics = distinct(rows, "traffic");
    std::vector<std::string> head{title};
    head.insert(head.end(), traffics.begin(), traffics.end());
    std::string text = table_head(head);
    for (const std::string& program : distinct(rows, "program")) {
        std::vector<std::string> cells{"`" + program + "`"};
        for (const std::string& traffic : traffics) {
            const Json* row = find_row(rows, traffic, program, what);
            cells.push_back(row == nullptr
                                ? ""
                                : marked(fmt::format("{:+.0f}", row->at("over_ns").get<double>()),
                                         row->at("met")));
        }
        text += table_row(cells);
    }
    return text;
}

Series kernel_series(const Json& rows, const std::vector<std::string>& names,
                     const std::string& what, const std::string& title)
{
    Series series{title, {}};
    for (std::size_t i = 0; i < names.size(); i++) {
        const Json& row = *find_row(rows, "pingpong", names[i], what);
        series.points.push_back({static_cast<double>(i),
                                 std::max(row.at("over_ns").get<double>(), 0.0),
                                 row.at("over_low_ns"), row.at("over_high_ns")});
    }
    return series;
}

void report_kernel(Page& page, const Json& kept)
{
    const Json& rows = kept.at("result");
    page.text += fmt::format(
        "\n## In the kernel\n\n"
        "{}. Nanoseconds of each program for each event **over an empty program** on the same\n"
        "tracepoint, each attached alone, by turns in the same run (medians of short blocks).\n"
        "Goals: at most +60 on a watched socket, at most +10 on any other; what misses is bold.\n"
        "Columns are traffic: a ping-pong of 64 bytes on one CPU and on two, a bulk transfer on "
        "one\n"
        "and on two, short connections, resets with unread data, `fork` and `exec`. The hooks of\n"
        "processes are told of a target's processes and others' alike.\n\n",
        kept.at("version").get<std::string>());
    page.text += kernel_table(rows, "watched", "watched") + "\n" +
                 kernel_table(rows, "unwatched", "not watched") +
                 "\nA program that does nothing but count its runs in a map, likewise over the "
                 "empty one: the\nleast that a program costs which keeps anything.\n\n" +
                 kernel_table(rows, "counting", "only counting");
    std::vector<std::string> names;
    for (const std::string& program : distinct(rows, "program")) {
        if (find_row(rows, "pingpong", program, "watched") != nullptr &&
            find_row(rows, "pingpong", program, "unwatched") != nullptr &&
            find_row(rows, "pingpong", program, "counting") != nullptr) {
            names.push_back(program);
        }
    }
    page.add_plot("kernel",
                  {.title = "Cost of an event, ping-pong on one CPU",
                   .x_label = "",
                   .y_label = "ns over an empty program",
                   .names = names,
                   .series = {kernel_series(rows, names, "watched", "watched socket"),
                              kernel_series(rows, names, "unwatched", "socket that is not watched"),
                              kernel_series(rows, names, "counting", "a program that only counts")},
                   .goals = {{"goal, watched", 60}, {"goal, not watched", 10}}});
}

// ---- throughput

void report_throughput(Page& page, const Json& kept)
{
    page.text += fmt::format(
        "\n## End to end\n\n"
        "{}. Throughput of the same two processes, as fast as they go, in blocks of 60 ms by "
        "turns\n"
        "(there and back again in each round), ratio in the same round: median, and the interval\n"
        "that holds it with 95 %. drainwatch's programs, loaded and filled by itself, are "
        "attached\n"
        "and taken off within a millisecond; its process is stopped and let go on. Goal: at least\n"
        "0.995 of the empty twins'.\n\n",
        kept.at("version").get<std::string>());
    page.text += table_head({"traffic", "", "ratio", "goal"});
    for (const Json& row : kept.at("result")) {
        const bool has_goal = row.contains("goal");
        page.text += table_row(
            {row.at("traffic"), row.at("what"),
             marked(with_interval(row.at("ratio"), 4), !has_goal || row.at("met").get<bool>()),
             has_goal ? fmt::format("{}", row.at("goal").get<double>()) : ""});
    }
}

// ---- rivals

std::string told_cell(const Json& row)
{
    const Json& after = row.at("told_after_ms");
    return after.is_null() ? "nothing" : fmt::format("{:.2f} s", after.get<double>() / 1e3);
}

void report_rivals(Page& page, const Json& kept)
{
    const Json& costs = kept.at("result").at("cost");
    const Json& stall = kept.at("result").at("stall");
    const double zero_s = stall.at("zero_window_after_ms").get<double>() / 1e3;
    page.text += fmt::format(
        "\n## Beside what people would use instead\n\n"
        "{}. All of them watch the same port. *Throughput* is that of a ping-pong on one CPU, to\n"
        "that without any of them; *CPU* is what the tool's own processes take meanwhile, and "
        "beside\n"
        "a single link of 240 messages a second. *Told* is the time from the reader's last read\n"
        "until the tool says something of it, in the same {} stalls for all: the window closed "
        "after\n"
        "{:.2f} s.\n\n",
        kept.at("version").get<std::string>(), stall.at("stalls").get<int>(), zero_s);
    page.text += table_head({"tool", "throughput", "CPU, ping-pong", "CPU, a link", "told",
                             "what is taken for telling"});
    Series told{"from the last read until the tool tells", {}};
    std::vector<std::string> names;
    for (std::size_t i = 0; i < costs.size(); i++) {
        const Json& cost = costs.at(i);
        const Json& story = stall.at("tools").at(i);
        page.text += table_row({cost.at("tool"), with_interval(cost.at("ratio"), 3),
                                fmt::format("{:.1f} %", 100 * cost.at("cores").get<double>()),
                                fmt::format("{:.2f} %", 100 * story.at("cores").get<double>()),
                                told_cell(story), story.at("rule")});
        if (!story.at("told_after_ms").is_null()) {
            const double s = story.at("told_after_ms").get<double>() / 1e3;
            told.points.push_back({static_cast<double>(names.size()), s, s, s});
            names.push_back(cost.at("tool"));
        }
    }
    page.text += fmt::format(
        "\nBy which line, in the last of those stalls (the first {} characters):\n\n```\n",
        kShownOfALine);
    for (const Json& story : stall.at("tools")) {
        if (const std::string line = story.at("line"); !line.empty()) {
            page.text += fmt::format("{}: {}\n", story.at("tool").get<std::string>(),
                                     line.substr(0, kShownOfALine));
        }
    }
    page.text += "```\n";
    page.add_plot("rivals", {.title = "When each tool tells of the same stall",
                             .x_label = "",
                             .y_label = "seconds",
                             .names = names,
                             .series = {told},
                             .goals = {{"the zero window itself", zero_s}}});
}

// ---- scale

/// A column of the table of scale: where it is found, how it is shown, and how much is the goal.
struct Measure {
    const char* title;
    const char* member;
    double factor;
    const char* unit;
    int digits;
    double goal;  ///< 0: none
};

constexpr Measure kMeasures[] = {
    {"CPU, idle", "cpu_idle", 100, "%", 2, 0.2},
    {"CPU, 1 % active, without full looks", "cpu_active", 100, "%", 2, 0},
    {"CPU, idle, tier poll", "cpu_idle_poll", 100, "%", 2, 0},
    {"maps, a socket", "map_bytes_per_socket", 1, "B", 0, 0},
    {"kernel memory, a socket", "kernel_bytes_per_socket", 1, "B", 0, 512},
    {"resident", "resident_bytes", 1 / kMega, "MiB", 1, 32},
    {"of it not shared", "resident_own_bytes", 1 / kMega, "MiB", 1, 0},
    {"from its call to `start`", "start_ms", 1, "ms", 0, 0},
    {"of it the first look", "first_look_ms", 1, "ms", 0, 100},
    {"stall to line (`--warn-after 1s`)", "stall_to_line_ms", 1, "ms", 0, 0},
    {"the worst of five", "worst_stall_to_line_ms", 1, "ms", 0, 0},
};

std::string scale_cell(const Json& row, const Measure& measure)
{
    const Json& value = row.at(measure.member);
    if (value.is_null()) {
        return "";
    }
    const double figure = value.get<double>() * measure.factor;
    return marked(fmt::format("{:.{}f} {}", figure, measure.digits, measure.unit),
                  measure.goal == 0 || figure <= measure.goal);
}

Series scale_series(const std::vector<Json>& rows, const std::string& title, const char* member,
                    double factor)
{
    Series series{title, {}};
    for (const Json& row : rows) {
        const double value = row.at(member).get<double>() * factor;
        series.points.push_back({row.at("sockets"), value, value, value});
    }
    return series;
}

void report_scale(Page& page, const Json& kept)
{
    auto rows = kept.at("result").get<std::vector<Json>>();
    std::sort(rows.begin(), rows.end(),
              [](const Json& a, const Json& b) { return a.at("sockets") < b.at("sockets"); });
    page.text += fmt::format(
        "\n## Scale\n\n"
        "{}. Every socket is one of the target's and is watched; both ends of a connection count.\n"
        "*Active* ones carry ten messages a second, read at once. *Kernel memory* is what slabs,\n"
        "vmalloc and per-CPU memory grew by; *maps* is what the kernel says of the maps alone.\n"
        "*Resident* counts the mapped part of the table, which is kernel memory seen once more. "
        "The\n"
        "*first look* is what a start takes longer than one with as large a table and nobody to\n"
        "watch; with it every socket is known, and right after it those of more than 2048 that "
        "are\n"
        "idle are given their place in the table. CPU is of one core; what the programs take in\n"
        "the context of others is in the tables above.\n\n",
        kept.at("version").get<std::string>());
    std::vector<std::string> head{"sockets"};
    for (const Json& row : rows) {
        head.push_back(fmt::format("{}", row.at("sockets").get<unsigned>()));
    }
    head.emplace_back("goal");
    page.text += table_head(head);
    for (const Measure& measure : kMeasures) {
        std::vector<std::string> cells{measure.title};
        for (const Json& row : rows) {
            cells.push_back(scale_cell(row, measure));
        }
        cells.push_back(measure.goal == 0 ? "" : fmt::format("{} {}", measure.goal, measure.unit));
        page.text += table_row(cells);
    }
    page.add_plot("cpu", {.title = "CPU as the sockets become more",
                          .x_label = "watched sockets",
                          .y_label = "% of a core",
                          .logarithmic = true,
                          .series = {scale_series(rows, "idle", "cpu_idle", 100),
                                     scale_series(rows, "1 % active", "cpu_active", 100),
                                     scale_series(rows, "idle, tier poll", "cpu_idle_poll", 100)},
                          .goals = {{"goal, idle", 0.2}}});
    page.add_plot("start", {.title = "From its call to the start event",
                            .x_label = "watched sockets",
                            .y_label = "ms",
                            .logarithmic = true,
                            .series = {scale_series(rows, "all", "start_ms", 1)},
                            .goals = {}});
    page.add_plot(
        "memory",
        {.title = "Memory as the sockets become more",
         .x_label = "watched sockets",
         .y_label = "MiB",
         .logarithmic = true,
         .series = {scale_series(rows, "resident", "resident_bytes", 1 / kMega),
                    scale_series(rows, "of it not shared", "resident_own_bytes", 1 / kMega)},
         .goals = {{"goal, resident", 32}}});
}

// ---- a usual host

void report_host(Page& page, const Json& kept)
{
    const Json& host = kept.at("result");
    page.text += fmt::format(
        "\n## A usual host\n\n"
        "{}. {} links of 240 messages a second on one port, and {} sockets in all, {} of them the\n"
        "watched process's. The CPU is that of the process, once it has started.\n\n",
        kept.at("version").get<std::string>(), host.at("links").get<unsigned>(),
        host.at("sockets").get<unsigned>(), host.at("of_target").get<unsigned>());
    page.text += table_head({"", "measured", "goal"});
    const double megabytes = host.at("executable_bytes").get<double>() / 1e6;
    page.text += table_row(
        {"static executable", marked(fmt::format("{:.1f} MB", megabytes), megabytes <= 8), "8 MB"});
    for (const std::string tier : {"bpf", "poll"}) {
        const Json& of_tier = host.at(tier);
        const double start = of_tier.at("start_ms");
        const double cpu = 100 * of_tier.at("cpu").get<double>();
        page.text +=
            table_row({fmt::format("tier {}: from its call to `start`, median and worst", tier),
                       marked(fmt::format("{:.0f}, {:.0f} ms", start,
                                          of_tier.at("worst_start_ms").get<double>()),
                              start <= 300),
                       "300 ms"});
        page.text += table_row({fmt::format("tier {}: CPU, of one core", tier),
                                marked(fmt::format("{:.2f} %", cpu), cpu <= 1), "1 %"});
    }
}

}  // namespace

void write_report(const std::filesystem::path& results, const std::filesystem::path& docs)
{
    Page page{docs};
    page.text =
        "# Benchmarks\n\n"
        "Written by `scripts/bench`. Figures that miss their goal are **bold**.\n";
    const std::pair<const char*, void (*)(Page&, const Json&)> parts[] = {
        {"host", report_host},     {"kernel", report_kernel}, {"throughput", report_throughput},
        {"rivals", report_rivals}, {"scale", report_scale},
    };
    for (const auto& [part, report] : parts) {
        if (const Json result = kept(results, part); !result.is_null()) {
            report(page, result);
        } else {
            page.text += fmt::format("\nPart `{}` has not been measured.\n", part);
        }
    }
    std::ofstream(docs / "benchmarks.md") << page.text;
}

}  // namespace drainwatch::bench
