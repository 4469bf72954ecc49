#include "corpus/report.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <string_view>

namespace drainwatch::corpus {
namespace {

constexpr double kLeadThatCountsMs = 200;
constexpr double kGoodForecast = 0.2;

constexpr std::string_view kDefinitions = R"(
What is counted, for each link of each run:

- **Zero window**: the first of each episode that tcpdump saw in the trouble; warned of if a line was read
  from drainwatch's pipe before, and not taken back.
- **Sudden**: a zero window of a healthy reader that came within 20 ms of its last read, as the capture
  shows it: no silence is as short, so nobody can warn of it.
- **Stall**: unread data older than `--warn-after` with no read since; told within 100 ms (poll: 500 ms).
- **Reset**: the process was killed with unread data.
- **False alarm**: a warning with neither a zero window to follow nor a silence of the reader, by its own
  log, that was long. One for a silence shorter than `--warn-after`, but longer than any that this reader
  had shown, is a *new pause*; beside it, how soon after the pause it was over. Where all is well, any
  line above `info` is a false alarm, about whichever socket.
- **Held back**: a warning of a window that never was zero, but, by tcpdump, too small for the peer's next
  segment, so that it had to wait: no false alarm, and no zero window either.
- **Never cleared**: a warning that lasts for a second or more after the reader went on.
- **Lead**: from the warning to the zero window, as a share of what was possible: since the last read, or
  the first unread byte if that came later, or the start of a restarted drainwatch. Of a reader that
  reads too little (too slow, starved), since the trouble began, but no more than `--horizon`, for a forecast
  reaches no farther. Only where 200 ms or more were possible.
- **Forecast**: `zero_window_in_ms` of the line nearest to half of the time from warning to zero window,
  against the truth; where nobody reads and the flow is steady.
- **Delay**: from evidence to line: the zero window or the reset in the capture, or the moment at which
  a silence reached `--warn-after`.
- **Broken**: a run that did not come to its end, such as a peer that could not connect, or a capture that
  lost packets; it counts nowhere else.
- **Estimated**: a zero window whose announcement no hook saw, as it happens now and then; drainwatch tells of
  it at the next segment, and marks its time so: it is that of the segment before.
- **Told otherwise**: a zero window that drainwatch did not tell of, or tells of and the capture does not have
  within 2 ms, and what this machine's host took of them; within 44 ms, as long as an acknowledgment may be
  delayed, where the time is an estimate.
)";

/// Nearest rank; values are there.
double quantile(std::vector<double> values, double q)
{
    std::sort(values.begin(), values.end());
    const auto rank = static_cast<std::size_t>(std::ceil(q * static_cast<double>(values.size())));
    return values[std::clamp<std::size_t>(rank, 1, values.size()) - 1];
}

double share_below(const std::vector<double>& values, double limit)
{
    const auto below =
        std::count_if(values.begin(), values.end(), [&](double value) { return value <= limit; });
    return static_cast<double>(below) / static_cast<double>(values.size());
}

void add(Row& row, const Result& result)
{
    row.runs++;
    if (!result.broken.empty()) {
        row.broken++;
        return;
    }
    const auto append = [](std::vector<double>& to, const std::vector<double>& from) {
        to.insert(to.end(), from.begin(), from.end());
    };
    row.false_alarms += result.stray_alarms;
    for (const Verdict& v : result.verdicts) {
        row.links++;
        row.zeros += v.zeros;
        row.warned += v.warned;
        row.sudden += v.sudden;
        row.resets += v.reset;
        row.resets_told += v.reset_told;
        row.new_pauses += v.new_pauses;
        row.never_cleared += v.never_cleared;
        row.stalls += v.stalled;
        row.told += v.stall_told;
        row.false_alarms += v.false_alarms;
        row.held_back += v.held_back;
        append(row.cleared_ms, v.cleared_ms);
        append(row.delay_ms, v.delay_ms);
        if (v.possible_ms && *v.possible_ms >= kLeadThatCountsMs) {
            row.lead_share.push_back(v.lead_ms.value_or(0) / *v.possible_ms);
        }
        if (v.forecast_error) {
            row.forecast_error.push_back(*v.forecast_error);
        }
        row.estimated += v.estimated;
        row.disagreements += !v.agrees;
    }
}

std::string percent(double share)
{
    return fmt::format("{:.0f} %", 100 * share);
}

std::string ms(double value)
{
    return fmt::format("{:.1f}", value);
}

/// What many values come to; empty where there are none.
template <typename Function>
std::string if_any(const std::vector<double>& values, Function text)
{
    return values.empty() ? "" : text(values);
}

std::string of_all(std::size_t part, std::size_t whole)
{
    return whole == 0 ? "" : fmt::format("{} of {}", part, whole);
}

auto quantile_text(double q, std::string (*text)(double))
{
    return [=](const std::vector<double>& values) { return text(quantile(values, q)); };
}

constexpr std::string_view kWhatWasTold =
    "\n| class | runs | broken | links | zero windows warned of before | sudden | stalls told | "
    "resets told | false alarms | held back | new pauses (cleared: median, worst) | never cleared "
    "| estimated | told otherwise |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n";

std::string told_row(const Row& row)
{
    const std::string cleared = if_any(row.cleared_ms, [](const std::vector<double>& v) {
        return fmt::format(" ({}, {} ms)", ms(quantile(v, 0.5)), ms(quantile(v, 1)));
    });
    return fmt::format(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {}{} | {} | {} | {} |\n", row.name,
        row.runs, row.broken, row.links, of_all(row.warned, row.zeros), row.sudden,
        of_all(row.told, row.stalls), of_all(row.resets_told, row.resets), row.false_alarms,
        row.held_back, row.new_pauses, cleared, row.never_cleared, row.estimated,
        row.disagreements);
}

constexpr std::string_view kHowEarly =
    "\n| class | lead: median | 5 % | worst | forecast within 20 % | its error: median | 95 % | "
    "worst | delay: median, ms | 99 % |\n"
    "|---|---|---|---|---|---|---|---|---|---|\n";

/// Empty for a class in which nothing of it can be measured.
std::string early_row(const Row& row)
{
    if (row.lead_share.empty() && row.forecast_error.empty() && row.delay_ms.empty()) {
        return "";
    }
    return fmt::format(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n", row.name,
        if_any(row.lead_share, quantile_text(0.5, percent)),
        if_any(row.lead_share, quantile_text(0.05, percent)),
        if_any(row.lead_share, quantile_text(0, percent)),
        if_any(row.forecast_error,
               [](const std::vector<double>& v) { return percent(share_below(v, kGoodForecast)); }),
        if_any(row.forecast_error, quantile_text(0.5, percent)),
        if_any(row.forecast_error, quantile_text(0.95, percent)),
        if_any(row.forecast_error, quantile_text(1, percent)),
        if_any(row.delay_ms, quantile_text(0.5, ms)),
        if_any(row.delay_ms, quantile_text(0.99, ms)));
}

std::string table(const Report& report, std::string_view head, std::string (*text)(const Row&))
{
    std::string rows(head);
    for (const Row& row : report.rows) {
        rows += text(row);
    }
    rows += text(report.bpf);
    return rows + (report.polled.runs > 0 ? text(report.polled) : "");
}

/// Held against tier bpf. The poll tier cannot reach them all: its row stands beside.
std::vector<Goal> goals_of(const Row& row)
{
    std::vector<Goal> goals{
        {"zero windows that a warning preceded: all", of_all(row.warned, row.zeros),
         row.warned == row.zeros},
        {"stalls beyond `--warn-after` that were told: all", of_all(row.told, row.stalls),
         row.told == row.stalls},
        {"resets with unread data that were told: all", of_all(row.resets_told, row.resets),
         row.resets_told == row.resets},
        {"warnings that were never over: none", std::to_string(row.never_cleared),
         row.never_cleared == 0},
        {"false alarms: none", std::to_string(row.false_alarms), row.false_alarms == 0},
        {"zero windows told otherwise than captured: none", std::to_string(row.disagreements),
         row.disagreements == 0}};
    if (!row.lead_share.empty()) {
        const double median = quantile(row.lead_share, 0.5);
        const double low = quantile(row.lead_share, 0.05);
        goals.push_back({"lead, median: 90 % of the possible", percent(median), median >= 0.9});
        goals.push_back({"lead, 5th percentile: 75 %", percent(low), low >= 0.75});
    }
    if (!row.forecast_error.empty()) {
        const double good = share_below(row.forecast_error, kGoodForecast);
        goals.push_back({"forecasts within 20 %: 95 % of them", percent(good), good >= 0.95});
    }
    if (!row.delay_ms.empty()) {
        const double late = quantile(row.delay_ms, 0.99);
        goals.push_back({"evidence to line, 99th percentile: 20 ms", ms(late) + " ms", late <= 20});
    }
    return goals;
}

Json to_json(const Row& row)
{
    const auto value = [](const std::vector<double>& values, double q) {
        return values.empty() ? Json(nullptr) : Json(quantile(values, q));
    };
    return {{"name", row.name},
            {"runs", row.runs},
            {"broken", row.broken},
            {"links", row.links},
            {"zero_windows", row.zeros},
            {"warned_before", row.warned},
            {"sudden", row.sudden},
            {"stalls", row.stalls},
            {"stalls_told", row.told},
            {"resets", row.resets},
            {"resets_told", row.resets_told},
            {"false_alarms", row.false_alarms},
            {"held_back", row.held_back},
            {"new_pauses", row.new_pauses},
            {"cleared_ms_p50", value(row.cleared_ms, 0.5)},
            {"cleared_ms_worst", value(row.cleared_ms, 1)},
            {"never_cleared", row.never_cleared},
            {"lead_p50", value(row.lead_share, 0.5)},
            {"lead_p05", value(row.lead_share, 0.05)},
            {"lead_worst", value(row.lead_share, 0)},
            {"forecasts", row.forecast_error.size()},
            {"forecast_within_20_percent",
             row.forecast_error.empty() ? Json(nullptr)
                                        : Json(share_below(row.forecast_error, kGoodForecast))},
            {"forecast_error_p50", value(row.forecast_error, 0.5)},
            {"forecast_error_p95", value(row.forecast_error, 0.95)},
            {"forecast_error_worst", value(row.forecast_error, 1)},
            {"delays", row.delay_ms.size()},
            {"delay_ms_p50", value(row.delay_ms, 0.5)},
            {"delay_ms_p99", value(row.delay_ms, 0.99)},
            {"estimated", row.estimated},
            {"disagreements", row.disagreements}};
}

bool misses_nothing(const Row& row)
{
    return row.warned == row.zeros && row.told == row.stalls && row.resets_told == row.resets &&
           row.never_cleared == 0 && row.broken == 0;
}

}  // namespace

Report make_report(const std::vector<Result>& results)
{
    Report report;
    report.bpf.name = "tier bpf";
    report.polled.name = "tier poll";
    for (const std::string_view name : class_names()) {
        Row row;
        row.name = name;
        const bool polled = make_plan(name, 0).polled;
        for (const Result& result : results) {
            if (result.name == name) {
                add(row, result);
                add(polled ? report.polled : report.bpf, result);
            }
        }
        if (row.runs > 0) {
            report.rows.push_back(std::move(row));
        }
    }
    report.goals = goals_of(report.bpf);
    for (const Result& result : results) {
        if (result.broken.empty() && std::find(report.versions.begin(), report.versions.end(),
                                               result.version) == report.versions.end()) {
            report.versions.push_back(result.version);
        }
    }
    return report;
}

std::string to_markdown(const Report& report, const std::string& made_by)
{
    std::string text = "# Accuracy\n\n" + made_by + "\n\n";
    text += "| goal of tier bpf | measured | |\n|---|---|---|\n";
    for (const Goal& goal : report.goals) {
        text += fmt::format("| {} | {} | {} |\n", goal.text, goal.measured,
                            goal.met ? "met" : "**missed**");
    }
    text += table(report, kWhatWasTold, told_row);
    text += table(report, kHowEarly, early_row);
    text += kDefinitions;
    return text;
}

Json to_json(const Report& report)
{
    Json json;
    for (const Row& row : report.rows) {
        json["classes"].push_back(to_json(row));
    }
    json["tier_bpf"] = to_json(report.bpf);
    json["tier_poll"] = to_json(report.polled);
    for (const Goal& goal : report.goals) {
        json["goals"].push_back(
            {{"goal", goal.text}, {"measured", goal.measured}, {"met", goal.met}});
    }
    return json;
}

bool is_clean(const Report& report)
{
    return misses_nothing(report.bpf) && report.bpf.false_alarms == 0 &&
           report.bpf.disagreements == 0 && misses_nothing(report.polled);
}

}  // namespace drainwatch::corpus
