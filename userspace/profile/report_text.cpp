#include "profile/report.hpp"

#include "output/escape.hpp"
#include "profile/units.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <functional>

namespace drainwatch {
namespace {

constexpr std::size_t kColumns = 80;
constexpr std::size_t kBarColumns = 44;
constexpr std::size_t kMostGroups = 20;

using Lines = std::vector<std::string>;
using InWords = std::string (*)(double);

/// Breaks at spaces, so that no line is longer than the terminal is wide.
void add_wrapped(Lines& lines, const std::string& text)
{
    std::string rest = text;
    while (rest.size() > kColumns) {
        std::size_t space = rest.rfind(' ', kColumns);
        if (space != std::string::npos && space > 0 && rest.compare(space, 2, " %") == 0) {
            space = rest.rfind(' ', space - 1);  // a figure stays with its unit
        }
        if (space == std::string::npos || space == 0) {
            break;
        }
        lines.push_back(rest.substr(0, space));
        rest = rest.substr(space + 1);
    }
    lines.push_back(rest);
}

constexpr auto kRow = "{:<15}{:>10}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}";

void add_row(Lines& lines, const char* name, const Distribution& values, InWords in_words,
             bool counted = true)
{
    if (values.count() == 0) {
        return;
    }
    const auto at = [&](double q) { return in_words(values.quantile(q)); };
    lines.push_back(fmt::format(kRow, name, counted ? std::to_string(values.count()) : "",
                                in_words(values.mean()), at(0.5), at(0.9), at(0.99), at(0.999),
                                in_words(static_cast<double>(values.max()))));
}

void add_table(Lines& lines, const Figures& figures)
{
    lines.push_back(fmt::format(kRow, "", "count", "mean", "p50", "p90", "p99", "p99.9", "max"));
    add_row(lines, "read latency", figures.of(DW_DIST_READ_LATENCY), duration_in_words);
    add_row(lines, "  to wakeup", figures.of(DW_DIST_WAKEUP), duration_in_words);
    add_row(lines, "  to a CPU", figures.of(DW_DIST_SCHEDULE), duration_in_words);
    add_row(lines, "  application", figures.of(DW_DIST_APPLICATION), duration_in_words);
    add_row(lines, "  not known", figures.of(DW_DIST_UNATTRIBUTED), duration_in_words);
    add_row(lines, "bytes a read", figures.of(DW_DIST_READ_BYTES), bytes_in_words);
    add_row(lines, "bytes unread", figures.of(DW_DIST_QUEUE_BYTES), bytes_in_words, false);
    add_row(lines, "TLS read call", figures.of(DW_DIST_TLS_READ), duration_in_words);
    add_row(lines, "TLS latency", figures.of(DW_DIST_TLS_LATENCY), duration_in_words);
    add_row(lines, "  above socket", figures.of(DW_DIST_TLS_ABOVE_SOCKET), duration_in_words);
    add_row(lines, "TLS handshake", figures.of(DW_DIST_TLS_HANDSHAKE), duration_in_words);
}

/// Of all latency, whose it is.
std::string parts_in_words(const Figures& figures)
{
    const double all = figures.of(DW_DIST_READ_LATENCY).sum();
    const auto share = [&](dw_distribution part) {
        return all > 0 ? figures.of(part).sum() / all * 100 : 0;
    };
    return fmt::format(
        "Of all latency: {:.1f} % until the reader was woken, {:.1f} % until it had a CPU, "
        "{:.1f} % in the application, {:.1f} % not known.",
        share(DW_DIST_WAKEUP), share(DW_DIST_SCHEDULE), share(DW_DIST_APPLICATION),
        share(DW_DIST_UNATTRIBUTED));
}

/// What the calls of TLS libraries came to; nothing if none was traced.
std::string tls_in_words(const Report& report)
{
    const Figures& figures = report.figures;
    std::vector<std::string> libraries;
    for (const TlsTracedLibrary& library : report.tls.libraries) {
        libraries.push_back(fmt::format("{} ({})", library.name, escape(library.path)));
    }
    std::string text = fmt::format(
        "TLS by {}: {} reads, {} empty, {} failed; {} handshakes, {} failed.",
        fmt::join(libraries, ", "), figures.of(DW_DIST_TLS_READ).count(),
        figures.of(DW_DIST_TLS_EMPTY_READS).count(), figures.of(DW_DIST_TLS_READ_ERRORS).count(),
        figures.of(DW_DIST_TLS_HANDSHAKE).count(),
        figures.of(DW_DIST_TLS_HANDSHAKE_ERRORS).count());
    if (const auto above = figures.tls_above_socket()) {
        text += fmt::format(
            " Of all time from arrival to the return of the library's call, {:.1f} % came after "
            "the read of the socket.",
            *above * 100);
    }
    return text;
}

/// One line for each octave of time, with a bar.
void add_histogram(Lines& lines, const Distribution& values)
{
    std::map<std::uint32_t, std::uint64_t> octaves;
    for (const auto& [bucket, count] : values.buckets()) {
        // Below 1 us there is nothing to tell apart.
        octaves[std::max(dw_log2(dw_bucket_lower(bucket) | 1), 10U)] += count;
    }
    if (octaves.empty()) {
        return;
    }
    const auto fullest =
        std::max_element(octaves.begin(), octaves.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; });
    lines.emplace_back("read latency, up to");
    for (std::uint32_t octave = octaves.begin()->first; octave <= octaves.rbegin()->first;
         octave++) {
        const std::uint64_t count = octaves[octave];
        const double part = static_cast<double>(count) / static_cast<double>(fullest->second);
        const auto length = static_cast<std::size_t>(std::ceil(part * kBarColumns));
        const double share = static_cast<double>(count) / static_cast<double>(values.count()) * 100;
        lines.push_back(fmt::format("{:>10} {:>10} {:>6.2f} % |{}",
                                    duration_in_words(std::exp2(octave + 1)), count, share,
                                    std::string(length, '#')));
    }
}

void add_waiting(Lines& lines, const Shares& waiting)
{
    if (waiting.total_ns == 0) {
        return;
    }
    lines.push_back(fmt::format("while data lay unread ({} of reader time), readers were",
                                duration_in_words(waiting.total_ns)));
    const auto add = [&](const std::string& what, double share, int indent) {
        if (share >= 0.0005) {
            lines.push_back(fmt::format("{:>{}}{:5.1f} % {}", "", indent, share * 100, what));
        }
    };
    add("running", waiting.running, 2);
    add("runnable, without a CPU", waiting.runnable, 2);
    add("asleep", waiting.sleeping, 2);
    std::vector<std::pair<double, std::string>> calls;
    for (const auto& [call, share] : waiting.calls) {
        calls.emplace_back(share, call);
    }
    std::sort(calls.rbegin(), calls.rend());
    for (const auto& [share, call] : calls) {
        add("in " + call, share, 10);
    }
    add("not known: nobody has read yet", waiting.unknown, 2);
}

/// For how long the oldest has waited at the end.
std::string unread_for(const Unread& unread)
{
    return unread.sockets != 0 ? duration_in_words(static_cast<double>(unread.oldest_ns)) : "-";
}

void add_groups(Lines& lines, const std::vector<ReportGroup>& groups)
{
    constexpr auto kGroupRow = "{:>9} {:>8} {:>8} {:>8} {:>8} {:>5} {:>6} {:>5}  {}";
    lines.push_back(fmt::format(kGroupRow, "reads", "p50", "p99", "max", "unread", "run", "no CPU",
                                "sleep", "group"));
    for (std::size_t i = 0; i < std::min(groups.size(), kMostGroups); i++) {
        const Figures& figures = groups[i].figures;
        const Distribution& latency = figures.of(DW_DIST_READ_LATENCY);
        const Shares& waiting = figures.waiting;
        const auto if_any = [&](double ns) {
            return latency.count() != 0 ? duration_in_words(ns) : "-";
        };
        const auto percent = [&](double share) {
            return waiting.total_ns != 0 ? fmt::format("{:.0f} %", share * 100) : "-";
        };
        lines.push_back(fmt::format(
            kGroupRow, figures.of(DW_DIST_READ_BYTES).count(), if_any(latency.quantile(0.5)),
            if_any(latency.quantile(0.99)), if_any(static_cast<double>(latency.max())),
            unread_for(figures.unread), percent(waiting.running), percent(waiting.runnable),
            percent(waiting.sleeping), groups[i].name));
    }
    if (groups.size() > kMostGroups) {
        lines.push_back(
            fmt::format("... and {} more (--output json has all)", groups.size() - kMostGroups));
    }
}

std::string in_words(const std::string& name, std::optional<double> measured)
{
    if (!measured) {
        return "-";
    }
    const double value = *measured;
    if (name.starts_with("waiting") || name == "tls_above_socket") {
        return fmt::format("{:.1f} %", value * 100);
    }
    if (name.find("_ns") != std::string::npos) {
        return duration_in_words(value);
    }
    if (name.find("bytes") != std::string::npos) {
        return bytes_in_words(value);
    }
    return fmt::format("{:.1f}", value);
}

void add_comparison(Lines& lines, const Comparison& comparison)
{
    constexpr auto kChangeRow = "{:<24}{:>14}{:>14}{:>12}";
    lines.push_back(fmt::format(kChangeRow, "", "before", "now", "ratio"));
    for (const Change& change : comparison.changes) {
        if (change.before.value_or(0) == 0 && change.after.value_or(0) == 0) {
            continue;
        }
        const auto ratio = change.ratio();
        lines.push_back(fmt::format(kChangeRow, change.name, in_words(change.name, change.before),
                                    in_words(change.name, change.after),
                                    ratio ? fmt::format("{:.2f}", *ratio) : "-"));
    }
}

void add_not_measured(Lines& lines, const Report& report)
{
    const NotMeasured& missed = report.not_measured;
    const auto add = [&](std::uint64_t count, const char* what) {
        if (count != 0) {
            add_wrapped(lines, fmt::format("note: {} {}", count, what));
        }
    };
    add(missed.early_segments, "segments had arrived before the measurement: they have no latency");
    add(missed.merged_segments,
        "segments waited in queues so long that their arrivals were averaged with their "
        "neighbours'");
    add(missed.samples, "samples found no room");
    add(missed.threads, "reads came from more threads than can be followed");
    add(missed.waits, "waits found no room");
    add(missed.sockets, "sockets were not measured: no room");
    add(missed.runs_missed, "events were missed: the kernel left our programs out");
    const auto add_missing = [&](const MissingPart& part) {
        add_wrapped(lines, fmt::format("note: {}: {}: {}", part.name, part.reason, part.cost));
    };
    std::for_each(report.missing.begin(), report.missing.end(), add_missing);
    std::for_each(report.tls.missing.begin(), report.tls.missing.end(), add_missing);
    // A target without TLS is nothing to tell of, unless a library was named.
    const auto not_found = tls_not_found(report);
    if (not_found && !report.tls_library.empty()) {
        add_missing(*not_found);
    }
}

}  // namespace

std::vector<std::string> to_text(const Report& report)
{
    const Figures& figures = report.figures;
    const Distribution& reads = figures.of(DW_DIST_READ_BYTES);
    const Distribution& latency = figures.of(DW_DIST_READ_LATENCY);
    Lines lines;
    add_wrapped(lines, verdict(report));
    if (reads.count() != 0 || latency.count() != 0) {
        lines.emplace_back();
        add_wrapped(
            lines, fmt::format(
                       "{} reads in {}: {:.1f} a second, {} a second; {} empty reads, {} peeks",
                       reads.count(), duration_in_words(static_cast<double>(figures.duration_ns)),
                       figures.rate(static_cast<double>(reads.count())),
                       bytes_in_words(figures.rate(reads.sum())),
                       figures.of(DW_DIST_EMPTY_READS).count(), figures.of(DW_DIST_PEEKS).count()));
        lines.emplace_back();
        add_table(lines, figures);
        lines.emplace_back();
    }
    if (latency.count() != 0) {
        add_wrapped(lines, parts_in_words(figures));
        lines.emplace_back();
    }
    if (!report.tls.libraries.empty()) {
        add_wrapped(lines, tls_in_words(report));
        lines.emplace_back();
    }
    if (latency.count() != 0) {
        add_histogram(lines, latency);
        lines.emplace_back();
    }
    add_waiting(lines, figures.waiting);
    if (const auto unread = unread_in_words(figures.unread); unread && reads.count() != 0) {
        add_wrapped(lines, "unread at the end: " + *unread);
    }
    if (!report.groups.empty()) {
        lines.emplace_back();
        add_groups(lines, report.groups);
    }
    if (report.comparison) {
        lines.emplace_back();
        add_comparison(lines, *report.comparison);
    }
    add_not_measured(lines, report);
    return lines;
}

}  // namespace drainwatch
