#include "budget/shedder.hpp"

#include <algorithm>
#include <numeric>

namespace drainwatch {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kPeriodNs = kSecond;

/// A longer time without a review says nothing: the process was stopped, or the host asleep.
constexpr std::uint64_t kLongestPeriodNs = 5 * kSecond;

/// So many times the budget is too much at once.
constexpr double kFarPast = 2;

/// Below this share of the budget there is room to take a step back.
constexpr double kRoom = 0.5;

/// How long a step lasts at least; longer each time that it was taken back too soon.
constexpr std::uint64_t kFirstPatienceNs = 5 * kSecond;
constexpr std::uint64_t kMostPatienceNs = 300 * kSecond;
/// Taken back for good if nothing was to be shed for so long.
constexpr std::uint64_t kProbationNs = 10 * kSecond;

/// What could not be shed is tried again so much later at least; ever later, as long as it fails.
constexpr std::uint64_t kFirstRefusalNs = 2 * kSecond;
constexpr std::uint64_t kMostRefusalNs = 60 * kSecond;

constexpr unsigned kMostLookSpacing = 16;

/// A hook goes, or all of them, or streams do, only if that brings this part of what is too much.
constexpr double kWorthwhile = 0.1;

}  // namespace

std::uint64_t Shedder::Account::kernel_ns() const
{
    return std::accumulate(hooks.begin(), hooks.end(), std::uint64_t{0},
                           [](std::uint64_t sum, const HookCost& h) { return sum + h.spent_ns; });
}

Shedder::Shedder(double budget, std::uint64_t now_ns)
    : budget_(budget), began_ns_(now_ns), patience_ns_(kFirstPatienceNs)
{}

void Shedder::begin_anew(std::uint64_t now_ns)
{
    began_ns_ = now_ns;
    account_ = {};
}

void Shedder::add(const Spending& spending)
{
    std::vector<HookCost> hooks = spending.hooks;
    for (std::size_t i = 0; i < std::min(hooks.size(), account_.hooks.size()); i++) {
        hooks[i].spent_ns += account_.hooks[i].spent_ns;
    }
    account_.user_ns += spending.user_ns;
    account_.hooks = std::move(hooks);
    account_.streams.taken = spending.streams.taken;
    account_.streams.spent_ns += spending.streams.spent_ns;
}

std::optional<ShedStep> Shedder::dearest_of_least_need(double excess_ns) const
{
    const auto& hooks = account_.hooks;
    std::optional<ShedStep> best;
    for (std::size_t i = 0; i < hooks.size(); i++) {
        const HookCost& hook = hooks[i];
        const bool may_go = hook.attached && hook.need != 0 &&
                            static_cast<double>(hook.spent_ns) >= kWorthwhile * excess_ns;
        if (!may_go) {
            continue;
        }
        if (!best || hook.need < hooks[best->hook].need ||
            (hook.need == hooks[best->hook].need && hook.spent_ns > hooks[best->hook].spent_ns)) {
            best = ShedStep{ShedStep::Kind::hook, i};
        }
    }
    return best;
}

std::optional<ShedStep> Shedder::next_step(double excess_ns, std::uint64_t now_ns) const
{
    const StreamCost& streams = account_.streams;
    if (streams.taken && static_cast<double>(streams.spent_ns) >= kWorthwhile * excess_ns) {
        return ShedStep{ShedStep::Kind::streams};
    }
    const bool looks_cost = account_.user_ns > account_.kernel_ns() &&
                            static_cast<double>(account_.user_ns) >= kWorthwhile * excess_ns;
    if (looks_cost && look_spacing_ < kMostLookSpacing) {
        return ShedStep{ShedStep::Kind::slower_looks};
    }
    if (auto hook = dearest_of_least_need(excess_ns)) {
        return hook;
    }
    const bool hooks_cost = static_cast<double>(account_.kernel_ns()) >= kWorthwhile * excess_ns;
    if (polling_since_ns_ != 0 || !hooks_cost) {
        return std::nullopt;  // there is nothing left that would help
    }
    if (periods_over_ < 2) {
        return std::nullopt;  // a few runs that were interrupted may look as dear, for once
    }
    if (refused_ns_ != 0 && now_ns - refused_ns_ < refusal_ns_) {
        return std::nullopt;  // not yet again
    }
    return ShedStep{ShedStep::Kind::everything};
}

ShedOrder Shedder::shed(const ShedStep& step, double share, std::uint64_t now_ns)
{
    if (restored_ns_ != 0 && now_ns - restored_ns_ < kProbationNs) {
        patience_ns_ = std::min(2 * patience_ns_, kMostPatienceNs);
    } else {
        patience_ns_ = kFirstPatienceNs;
    }
    if (step.kind == ShedStep::Kind::slower_looks) {
        look_spacing_ *= 2;
    } else if (step.kind == ShedStep::Kind::everything) {
        polling_since_ns_ = now_ns;
    }
    shed_.push_back(step);
    changed_ns_ = now_ns;
    return {step, false, share};
}

ShedOrder Shedder::restore(double share, std::uint64_t now_ns)
{
    // What was shed while polling was the polling's: it goes with it.
    ShedStep step;
    do {
        step = shed_.back();
        shed_.pop_back();
        if (step.kind == ShedStep::Kind::slower_looks) {
            look_spacing_ /= 2;
        }
    } while (polling_since_ns_ != 0 && step.kind != ShedStep::Kind::everything);
    polling_since_ns_ = 0;
    changed_ns_ = now_ns;
    restored_ns_ = now_ns;
    return {step, true, share};
}

void Shedder::take_back(const ShedOrder& order, std::uint64_t now_ns)
{
    using Kind = ShedStep::Kind;
    const bool shed_again = order.restore;
    if (shed_again) {
        shed_.push_back(order.step);
        patience_ns_ = std::min(2 * patience_ns_, kMostPatienceNs);
    } else {
        shed_.pop_back();
        const bool lately = refused_ns_ != 0 && now_ns - refused_ns_ < 2 * kMostRefusalNs;
        refusal_ns_ = lately ? std::min(2 * refusal_ns_, kMostRefusalNs) : kFirstRefusalNs;
        refused_ns_ = now_ns;
    }
    if (order.step.kind == Kind::slower_looks) {
        look_spacing_ = shed_again ? look_spacing_ * 2 : look_spacing_ / 2;
    } else if (order.step.kind == Kind::everything) {
        polling_since_ns_ = shed_again ? now_ns : 0;
    }
    changed_ns_ = now_ns;  // what failed is not tried again at once
}

std::optional<ShedOrder> Shedder::review(std::uint64_t now_ns, const Spending& spending)
{
    if (budget_ == 0) {
        return std::nullopt;
    }
    add(spending);
    if (now_ns < began_ns_ || now_ns - began_ns_ > kLongestPeriodNs) {
        begin_anew(now_ns);
        return std::nullopt;
    }
    const auto allowed_ns = budget_ * static_cast<double>(kPeriodNs);
    const auto spent_ns = static_cast<double>(account_.user_ns + account_.kernel_ns());
    // A look that is expensive is paced by itself; what hooks cost goes on.
    const bool far_past = static_cast<double>(account_.kernel_ns()) > kFarPast * allowed_ns;
    const std::uint64_t elapsed_ns = std::max<std::uint64_t>(now_ns - began_ns_, 1);
    if (elapsed_ns < kPeriodNs && !far_past) {
        return std::nullopt;
    }
    const double share = spent_ns / static_cast<double>(elapsed_ns);
    periods_over_ = share > budget_ ? periods_over_ + 1 : 0;
    // What polling costs says nothing about the hooks.
    const bool hooks_again = polling_since_ns_ != 0 && now_ns - polling_since_ns_ >= patience_ns_;
    const bool too_much = periods_over_ >= 2 || (periods_over_ != 0 && far_past);
    const bool has_room =
        !shed_.empty() && share <= kRoom * budget_ && now_ns - changed_ns_ >= patience_ns_;
    std::optional<ShedOrder> order;
    if (hooks_again || (has_room && !too_much)) {
        order = restore(share, now_ns);
    } else if (too_much) {
        const double excess_ns = spent_ns - budget_ * static_cast<double>(elapsed_ns);
        if (const auto step = next_step(excess_ns, now_ns)) {
            order = shed(*step, share, now_ns);
            periods_over_ = 0;
        }
    }
    begin_anew(now_ns);
    return order;
}

}  // namespace drainwatch
