#include "profile/report.hpp"

#include "drainwatch/units.hpp"
#include "output/escape.hpp"
#include "output/source_json.hpp"
#include "profile/units.hpp"

#include <fmt/format.h>
#include <algorithm>

namespace drainwatch {
namespace {

/// An engineer asks when more than one read in a hundred is later than this.
constexpr double kSlowNs = 10e6;

/// And when what came has waited for longer than this at the end, or than a tenth of a measurement
/// that was shorter than ten times of it. By then `watch` would have warned.
constexpr std::uint64_t kLeftNs = kNsPerS;

/// No completed read tells of data that nobody has read yet.
bool leaves_data_unread(const Figures& figures)
{
    return figures.unread.oldest_ns > std::min(kLeftNs, figures.duration_ns / 10);
}

std::string process_name(const Measurement& measurement, std::uint32_t tgid)
{
    const auto process = measurement.processes.find(tgid);
    if (process != measurement.processes.end()) {
        return fmt::format("{}({})", escape(process->second), tgid);
    }
    return tgid != 0 ? fmt::format("?({})", tgid) : "?";
}

std::string thread_name(const Measurement& measurement, std::uint32_t tid)
{
    const auto thread = measurement.threads.find(tid);
    if (thread == measurement.threads.end()) {
        return tid != 0 ? fmt::format("?({})", tid) : "nobody yet";
    }
    return fmt::format("{}/{}({})", process_name(measurement, thread->second.tgid),
                       escape(thread->second.comm), tid);
}

std::string socket_name(const Measurement& measurement, std::uint64_t cookie)
{
    const auto socket = measurement.sockets.find(cookie);
    if (socket == measurement.sockets.end()) {
        return fmt::format("socket {}", cookie);
    }
    return fmt::format("{} {} <- {}", process_name(measurement, socket->second.tgid),
                       to_string(socket->second.local), to_string(socket->second.remote));
}

std::string group_name(const Measurement& measurement, dw_grouping grouping, std::uint64_t group)
{
    switch (grouping) {
        case DW_GROUP_ALL: return "";
        case DW_GROUP_PROCESS: return process_name(measurement, static_cast<std::uint32_t>(group));
        case DW_GROUP_SOCKET: return socket_name(measurement, group);
        case DW_GROUP_THREAD: return thread_name(measurement, static_cast<std::uint32_t>(group));
    }
    return "";
}

/// "the most of it in nanosleep (70 %)"
std::string chief_call(const Shares& waiting)
{
    const auto chief =
        std::max_element(waiting.calls.begin(), waiting.calls.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; });
    return chief != waiting.calls.end()
               ? fmt::format(", in {} {:.0f} %", chief->first, chief->second * 100)
               : "";
}

/// What its readers do in most of the time that data waits.
std::string chief_occupation(const Shares& waiting)
{
    const double most =
        std::max({waiting.running, waiting.runnable, waiting.sleeping, waiting.unknown});
    if (most == waiting.unknown) {
        return "nobody reads: which of its threads would is not known";
    }
    if (most == waiting.running) {
        return fmt::format(
            "it does something else: it ran for {:.0f} % of the time that data "
            "waited",
            waiting.running * 100);
    }
    if (most == waiting.runnable) {
        return fmt::format(
            "it gets no CPU: it could have run, and did not, for {:.0f} % of the "
            "time that data waited",
            waiting.runnable * 100);
    }
    return fmt::format("it sleeps: {:.0f} % of the time that data waited{}", waiting.sleeping * 100,
                       chief_call(waiting));
}

/// ", because it sleeps: ..."; nothing if there was no time in which data lay unread.
std::string because(const Shares& waiting)
{
    return waiting.total_ns != 0 ? ", because " + chief_occupation(waiting) : "";
}

Json to_json(const NotMeasured& not_measured)
{
    return {{"samples", not_measured.samples},
            {"threads", not_measured.threads},
            {"waits", not_measured.waits},
            {"sockets", not_measured.sockets},
            {"early_segments", not_measured.early_segments},
            {"merged_segments", not_measured.merged_segments},
            {"runs_missed", not_measured.runs_missed}};
}

/// Whose calls were traced.
Json to_json(const std::vector<TlsTracedLibrary>& libraries)
{
    Json json = Json::array();
    for (const TlsTracedLibrary& library : libraries) {
        json.push_back({{"library", library.name},
                        {"path", escape(library.path)},
                        {"calls", library.calls},
                        {"processes", library.processes}});
    }
    return json;
}

std::vector<MissingPart> all_missing(const Report& report)
{
    auto missing = report.missing;
    missing.insert(missing.end(), report.tls.missing.begin(), report.tls.missing.end());
    if (auto tls = tls_not_found(report)) {
        missing.push_back(std::move(*tls));
    }
    return missing;
}

}  // namespace

Report make_report(const Measurement& measurement, dw_grouping grouping, std::string target)
{
    Report report;
    report.target = std::move(target);
    report.is_grouped = grouping != DW_GROUP_ALL;
    Measured all;
    for (const auto& [group, measured] : measurement.groups) {
        all.add(measured);
        // In 0 is what belongs to no group.
        if (report.is_grouped && group != 0) {
            report.groups.push_back({group_name(measurement, grouping, group),
                                     to_figures(measured, measurement.duration_ns)});
        }
    }
    report.figures = to_figures(all, measurement.duration_ns);
    const auto reads = [](const ReportGroup& group) {
        return group.figures.of(DW_DIST_READ_BYTES).count();
    };
    std::stable_sort(
        report.groups.begin(), report.groups.end(),
        [&](const ReportGroup& a, const ReportGroup& b) { return reads(a) > reads(b); });
    report.target_was_seen = !measurement.processes.empty();
    report.not_measured = measurement.not_measured;
    report.tls = measurement.tls;
    return report;
}

std::string verdict(const Report& report)
{
    const Figures& figures = report.figures;
    const Distribution& latency = figures.of(DW_DIST_READ_LATENCY);
    const double seconds = static_cast<double>(figures.duration_ns) / 1e9;
    if (latency.count() == 0 && figures.of(DW_DIST_READ_BYTES).count() == 0) {
        std::string text = fmt::format("no reads in {:.3g} s", seconds);
        if (!report.target_was_seen) {
            return text + ": no such process with a TCP connection was there (" + report.target +
                   ")";
        }
        if (const auto unread = unread_in_words(figures.unread)) {
            text += "; unread are " + *unread;
        }
        return text + because(figures.waiting);
    }
    // Reads that never come to the end of what arrived have no latency yet.
    if (latency.count() != 0 && latency.quantile(0.99) < kSlowNs) {
        if (const auto left = unread_in_words(figures.unread);
            left && leaves_data_unread(figures)) {
            return fmt::format("{} leaves data unread: {}{}", report.target, *left,
                               because(figures.waiting));
        }
        return fmt::format("{} keeps up: 99 of 100 reads come within {}", report.target,
                           duration_in_words(latency.quantile(0.99)));
    }
    return fmt::format("{} is slow because {}", report.target, chief_occupation(figures.waiting));
}

std::optional<std::string> unread_in_words(const Unread& unread)
{
    if (unread.sockets == 0) {
        return std::nullopt;
    }
    return fmt::format("{} bytes in {} socket{}, the oldest for {}", unread.bytes, unread.sockets,
                       unread.sockets == 1 ? "" : "s",
                       duration_in_words(static_cast<double>(unread.oldest_ns)));
}

std::optional<MissingPart> tls_not_found(const Report& report)
{
    if (!report.tls.libraries.empty() || !report.tls.missing.empty()) {
        return std::nullopt;
    }
    return MissingPart{"tls",
                       report.tls_library.empty()
                           ? "no target has OpenSSL or GnuTLS mapped, or their functions in its "
                             "executable"
                           : "no target has " + escape(report.tls_library) + " mapped",
                       "no calls of a TLS library are measured"};
}

Event to_event(const Report& report)
{
    Event event;
    event.name = "profile";
    event.reason = verdict(report);
    event.fields = to_json(report.figures);
    if (report.is_grouped) {
        event.fields["groups"] = Json::array();
        for (const ReportGroup& group : report.groups) {
            Json json{{"name", group.name}};
            json.update(to_json(group.figures));
            event.fields["groups"].push_back(std::move(json));
        }
    }
    event.fields["not_measured"] = to_json(report.not_measured);
    event.fields["tls"] = to_json(report.tls.libraries);
    event.fields["missing"] = to_json(all_missing(report));
    if (report.comparison) {
        event.fields["compare"] = to_json(*report.comparison);
    }
    return event;
}

}  // namespace drainwatch
