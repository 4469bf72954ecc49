#include "app/budget_keeper.hpp"

#include "app/share.hpp"
#include "drainwatch/units.hpp"
#include "host/clock.hpp"
#include "poll/poll_source.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <utility>

namespace drainwatch {
namespace {

constexpr std::uint64_t kReviewSpacingNs = 250'000'000;

constexpr auto kNoStreams = "TLS handshakes, versions and alerts are not seen";
constexpr auto kSlowerLooks = "sockets are looked at half as often, so warnings come later";

double rounded_percent(double share)
{
    return std::round(share * 1e5) / 1e3;
}

}  // namespace

BudgetKeeper::BudgetKeeper(double budget, FallbackSource& source)
    : budget_(budget),
      source_(source),
      shedder_(budget, monotonic_ns()),
      due_ns_(budget == 0 ? kNever : 0)
{}

void BudgetKeeper::begin()
{
    (void)measure(source_.hooks());
    shedder_.begin_anew(monotonic_ns());
}

Spending BudgetKeeper::measure(const std::vector<HookUse>& hooks)
{
    Spending spending;
    const std::uint64_t cpu = cpu_ns();
    spending.user_ns = cpu - std::exchange(cpu_ns_, cpu);
    if (Streams* const streams = source_.streams()) {
        spending.streams = {streams->are_taken(),
                            streams_.take(streams->runs()) + std::exchange(stream_ns_, 0)};
    }
    for (const HookUse& hook : hooks) {
        spending.hooks.push_back({hook.need, hook.attached, meters_[hook.name].take(hook.runs)});
    }
    return spending;
}

std::optional<Event> BudgetKeeper::review()
{
    const std::uint64_t now_ns = monotonic_ns();
    if (now_ns < due_ns_) {
        return std::nullopt;
    }
    due_ns_ = now_ns + kReviewSpacingNs;
    const auto hooks = source_.hooks();
    const auto order = shedder_.review(now_ns, measure(hooks));
    if (!order) {
        return std::nullopt;
    }
    Event event = carry_out(*order, hooks);
    begin();  // what that has cost is not the load's
    return event;
}

Event BudgetKeeper::carry_out(const ShedOrder& order, const std::vector<HookUse>& hooks)
{
    std::string part;
    std::string not_seen;
    Result<void> done;
    switch (order.step.kind) {
        case ShedStep::Kind::streams:
            part = "tls";
            not_seen = kNoStreams;
            if (Streams* const streams = source_.streams()) {
                streams->want(order.restore);
            }
            break;
        case ShedStep::Kind::hook: {
            const HookUse& hook = hooks.at(order.step.hook);
            part = hook.name;
            not_seen = hook.cost;
            done = source_.set_attached(hook.name, order.restore);
            break;
        }
        case ShedStep::Kind::slower_looks:
            part = "looks";
            not_seen = kSlowerLooks;
            break;
        case ShedStep::Kind::everything:
            part = "every hook";
            not_seen = PollSource::blind_spots();
            done = order.restore ? source_.return_to_hooks()
                                 : source_.fall_back("it would cost more than --cpu-budget allows");
            break;
    }
    if (!done) {
        shedder_.take_back(order, monotonic_ns());
    }
    Event event;
    event.name = "degraded";
    const bool recovered = order.restore && done;
    event.severity = recovered ? Severity::info : Severity::warning;
    const bool is_shed = order.restore != done.has_value();
    event.fields["state"] = is_shed ? "shed" : "restored";
    event.fields["part"] = part;
    event.fields["not_seen"] = is_shed ? not_seen : "";
    event.fields["cost_percent"] = rounded_percent(order.share);
    event.fields["budget_percent"] = rounded_percent(budget_);
    event.fields["still_shed"] = shedder_.sheds();
    event.fields["tier"] = to_string(source_.tier());
    const std::string measured =
        fmt::format("watching took {} of a core, {} is allowed{}", percent(order.share),
                    percent(budget_), recovered ? "" : " (--cpu-budget can be raised)");
    if (!done) {
        event.reason = fmt::format("{}; {}: {}", measured, part, done.error().message);
    } else if (order.step.kind == ShedStep::Kind::slower_looks) {
        event.reason = fmt::format(
            "{}: {}", measured,
            order.restore ? "sockets are looked at twice as often again" : kSlowerLooks);
    } else if (order.restore) {
        event.reason = fmt::format("{}: {} as before", measured, part);
    } else {
        event.reason = fmt::format("{}: without {} now; {}", measured, part, not_seen);
    }
    return event;
}

}  // namespace drainwatch
