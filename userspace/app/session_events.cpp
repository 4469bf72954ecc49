#include "app/session_events.hpp"

#include "app/version.hpp"
#include "host/clock.hpp"
#include "host/kernel.hpp"
#include "output/losses.hpp"
#include "output/source_json.hpp"

#include <fmt/format.h>
#include <cmath>
#include <string_view>

namespace drainwatch {
namespace {

std::string_view name_of(ProcessNotice::Kind kind)
{
    switch (kind) {
        case ProcessNotice::Kind::appeared: return "appeared";
        case ProcessNotice::Kind::forked: return "forked";
        case ProcessNotice::Kind::renamed: return "exec";
        case ProcessNotice::Kind::ended: return "ended";
    }
    return "";
}

void add_accounts(Event& event, const NoticeAccounts& accounts)
{
    event.fields["notices_produced"] = accounts.produced;
    event.fields["notices_consumed"] = accounts.consumed;
    event.fields["notices_lost"] = accounts.lost;
}

/// Of the runs that were timed, and the way to each and back; null if none was.
Json ns_per_event(const std::vector<HookUse>& hooks)
{
    HookRuns sum;
    for (const HookUse& hook : hooks) {
        sum.timed += hook.runs.timed;
        sum.timed_ns += hook.runs.timed_ns + hook.runs.timed * hook.runs.way_ns;
    }
    return sum.timed != 0 ? Json(sum.timed_ns / sum.timed) : Json(nullptr);
}

/// To the millisecond.
double seconds(std::uint64_t ns)
{
    return std::round(static_cast<double>(ns) / 1e6) / 1e3;
}

}  // namespace

Event start_event(const WatchOptions& options, const Source& source,
                  const std::vector<std::string>& capabilities)
{
    const SourceReport& report = source.report();
    Event event;
    event.name = "start";
    event.reason =
        source.tier() == Tier::bpf
            ? fmt::format("watching {}: {} programs attached, {} missing",
                          targets_in_words(options.targets), report.attached.size(),
                          report.missing.size())
            : fmt::format("watching {} by polling, not by BPF: {}",
                          targets_in_words(options.targets), report.missing.front().reason);
    event.fields["tier"] = to_string(source.tier());
    event.fields["version"] = version();
    event.fields["kernel"] = kernel_release();
    event.fields["programs"] = report.attached;
    event.fields["missing"] = to_json(report.missing);
    event.fields["targets"] = to_json(options.targets);
    event.fields["capabilities"] = capabilities;
    event.fields["memory_bytes"] = report.memory_bytes;
    return event;
}

Event target_event(const ProcessNotice& notice)
{
    Event event;
    event.name = "target";
    event.process = Process{notice.comm, notice.pid};
    event.fields["state"] = name_of(notice.kind);
    event.fields["watched"] = notice.target && notice.kind != ProcessNotice::Kind::ended;
    if (notice.kind == ProcessNotice::Kind::forked) {
        event.fields["parent"] = notice.parent;
    }
    return event;
}

Event lost_event(const Source& source, const Losses& losses, const Losses& told,
                 std::uint64_t lines_left_out)
{
    Event event;
    event.name = "lost";
    event.severity = Severity::warning;
    event.reason = losses_in_words(losses, told);
    add_accounts(event, source.accounts());
    event.fields["ring_full"] = losses.ring_full;
    event.fields["table_full"] = losses.table_full;
    event.fields["storage_failed"] = losses.storage_failed;
    event.fields["multipath"] = losses.multipath;
    event.fields["runs_missed"] = losses.runs_missed;
    event.fields["bytes_lost"] = losses.bytes_lost;
    event.fields["handshakes_given_up"] = losses.handshakes_given_up;
    event.fields["undecoded"] = losses.undecoded;
    event.fields["looks_failed"] = losses.looks_failed;
    event.fields["lines_left_out"] = lines_left_out;
    return event;
}

Event summary_event(const Monitor::Totals& totals)
{
    Event summary;
    summary.name = "summary";
    summary.fields["episodes"] = totals.episodes;
    summary.fields["zero_windows"] = totals.zero_windows;
    summary.fields["resets"] = totals.resets;
    return summary;
}

void add_losses(Event& summary, const Source& source, const Losses& losses,
                std::uint64_t lines_left_out)
{
    summary.fields["events_seen"] = source.events_seen();
    summary.fields["events_lost"] = losses.runs_missed;
    add_accounts(summary, source.accounts());
    summary.fields["sockets_not_watched"] =
        losses.table_full + losses.storage_failed + losses.multipath;
    summary.fields["handshakes_given_up"] = losses.handshakes_given_up;
    summary.fields["lines_left_out"] = lines_left_out;
}

void add_cost(Event& summary, const Source& source, std::uint64_t began_ns)
{
    summary.fields["duration_s"] = seconds(monotonic_ns() - began_ns);
    summary.fields["cpu_s"] = seconds(cpu_ns());
    summary.fields["ns_per_event"] = ns_per_event(source.hooks());
}

}  // namespace drainwatch
