#include "app/cpu_marks.hpp"

#include "drainwatch/profile_abi.h"
#include "host/clock.hpp"

#include <algorithm>
#include <map>
#include <utility>

namespace drainwatch {
namespace {

/// So much older at least is the mark from which CPU time is counted, if there is one.
constexpr std::uint64_t kMarkSpacingNs = 1'000'000'000;
/// Less than this says nothing about shares.
constexpr std::uint64_t kShortestSpanNs = 50'000'000;
/// A thread that nobody noted for so long begins anew.
constexpr std::uint64_t kForgottenNs = 500'000'000;
/// All threads of a process are in the same groups.
constexpr std::uint64_t kQuotaKeptNs = 100'000'000;
/// Further threads are not noted.
constexpr std::size_t kMostThreads = 1024;

/// A thread that computes keeps the call that it was in last until a tick of the kernel's clock
/// overwrites it: looks must be further apart than that.
constexpr std::uint64_t kLookSpacingNs = 12'000'000;
/// One part of so many of a CPU for the looks at one thread.
constexpr std::uint64_t kLookShare = 100;
/// The longer it lasts, the less often: after so many looks, the next doubling takes as many.
constexpr std::uint64_t kLooksInAll = 64;
/// Fewer looks at calls say nothing.
constexpr std::size_t kFewestLooks = 4;

double share(std::uint64_t part, std::uint64_t whole)
{
    return whole == 0 ? 0 : std::min(1.0, static_cast<double>(part) / static_cast<double>(whole));
}

/// Of several groups, the share of the one that was held back most.
std::optional<double> throttled(const std::vector<proc::QuotaPeriods>& then,
                                const std::vector<proc::QuotaPeriods>& now)
{
    std::optional<double> most;
    for (const proc::QuotaPeriods& group : now) {
        const auto before = std::find_if(then.begin(), then.end(), [&](const auto& other) {
            return other.group == group.group;
        });
        if (before != then.end() && group.periods > before->periods &&
            group.throttled >= before->throttled) {
            const double part =
                share(group.throttled - before->throttled, group.periods - before->periods);
            most = std::max(most.value_or(0), part);
        }
    }
    return most;
}

}  // namespace

CpuMarks::Quota CpuMarks::quota_of(std::uint32_t pid)
{
    const std::uint64_t now_ns = monotonic_ns();
    KnownQuota& known = quotas_[pid];
    if (!known.periods || now_ns - known.at_ns > kQuotaKeptNs) {
        known = {now_ns,
                 std::make_shared<const std::vector<proc::QuotaPeriods>>(proc::quota_periods(pid))};
    }
    return known.periods;
}

std::optional<CpuMarks::Mark> CpuMarks::mark(std::uint32_t pid, std::uint32_t tid)
{
    const auto time = proc::cpu_time(pid, tid);
    return time ? std::optional(Mark{monotonic_ns(), *time, quota_of(pid)}) : std::nullopt;
}

void CpuMarks::forget_old(std::uint64_t now_ns)
{
    if (now_ns - forgot_ns_ < kForgottenNs) {
        return;
    }
    forgot_ns_ = now_ns;
    std::erase_if(threads_,
                  [&](const auto& entry) { return now_ns - entry.second.noted_ns > kForgottenNs; });
    std::erase_if(quotas_,
                  [&](const auto& entry) { return now_ns - entry.second.at_ns > kMarkSpacingNs; });
}

void CpuMarks::begin(std::uint32_t pid, std::uint32_t tid)
{
    const auto first = threads_.size() < kMostThreads ? mark(pid, tid) : std::nullopt;
    if (!first) {
        return;
    }
    Thread thread;
    thread.pid = pid;
    thread.first = thread.older = thread.newer = *first;
    thread.noted_ns = first->at_ns;
    threads_.emplace(tid, std::move(thread));
}

void CpuMarks::note(std::uint32_t pid, std::uint32_t tid, ThreadReader* reader)
{
    const std::uint64_t now_ns = monotonic_ns();
    forget_old(now_ns);
    auto known = threads_.find(tid);
    if (known != threads_.end() &&
        (known->second.pid != pid || now_ns - known->second.noted_ns > kForgottenNs)) {
        threads_.erase(known);
        known = threads_.end();
    }
    if (known == threads_.end()) {
        begin(pid, tid);
        return;
    }
    Thread& thread = known->second;
    thread.noted_ns = now_ns;
    if (now_ns - thread.newer.at_ns >= kMarkSpacingNs) {
        if (const auto fresh = mark(pid, tid)) {
            thread.older = std::exchange(thread.newer, *fresh);
        }
    }
    if (reader != nullptr && now_ns >= thread.look_due_ns) {
        look_at_call(tid, thread, *reader);
        const std::uint64_t cost_ns = monotonic_ns() - now_ns;
        const std::uint64_t known_for_ns = now_ns - thread.first.at_ns;
        thread.look_due_ns =
            now_ns + std::max({kLookSpacingNs, kLookShare * cost_ns, known_for_ns / kLooksInAll});
    }
}

/// A thread that waits for a CPU since the last look has done nothing meanwhile.
void CpuMarks::look_at_call(std::uint32_t tid, Thread& thread, ThreadReader& reader)
{
    const auto view = reader.look(thread.pid, tid);
    if (!view) {
        return;
    }
    const auto arrived_before_ns = std::exchange(thread.arrived_ns, view->arrived_ns);
    const bool is_new_stint = view->arrived_ns && view->arrived_ns != arrived_before_ns;
    if (view->queued_ns && !is_new_stint) {
        return;
    }
    const bool is_awake = view->on_cpu || view->queued_ns;
    thread.calls.at(thread.looks % thread.calls.size()) =
        is_awake ? view->last_call.value_or(DW_NO_CALL) : DW_NO_CALL;
    thread.looks++;
}

std::optional<FrequentCall> CpuMarks::frequent_call(const Thread& thread)
{
    const std::size_t number = std::min(thread.looks, thread.calls.size());
    std::map<std::int32_t, std::size_t> times;
    for (std::size_t i = 0; i < number; i++) {
        if (thread.calls.at(i) != DW_NO_CALL) {
            times[thread.calls.at(i)]++;
        }
    }
    const auto most =
        std::max_element(times.begin(), times.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; });
    return most != times.end()
               ? std::optional(FrequentCall{most->first, share(most->second, number)})
               : std::nullopt;
}

std::optional<CpuFacts> CpuMarks::cpu_since_mark(const Thread& thread, std::uint32_t tid)
{
    const auto now = mark(thread.pid, tid);
    const Mark& then = thread.older;
    if (!now || now->at_ns - then.at_ns < kShortestSpanNs) {
        return std::nullopt;
    }
    if (now->time.ran_ns < then.time.ran_ns || now->time.waited_ns < then.time.waited_ns) {
        return std::nullopt;  // the number is another thread's by now
    }
    CpuFacts cpu;
    cpu.over_ns = now->at_ns - then.at_ns;
    cpu.ran = share(now->time.ran_ns - then.time.ran_ns, cpu.over_ns);
    cpu.waited = share(now->time.waited_ns - then.time.waited_ns, cpu.over_ns);
    cpu.throttled = throttled(*then.quota, *now->quota);
    for (const Mark* since : {&thread.newer, &thread.older, &thread.first}) {
        if (now->time.times == since->time.times && now->time.ran_ns == since->time.ran_ns) {
            cpu.quiet_ns = now->at_ns - since->at_ns;
        }
    }
    return cpu;
}

void CpuMarks::tell(CauseFacts& facts)
{
    const auto known = threads_.find(facts.tid);
    if (known == threads_.end() || known->second.pid != facts.process.pid) {
        return;
    }
    const Thread& thread = known->second;
    facts.cpu = cpu_since_mark(thread, facts.tid);
    facts.calls_are_known = thread.looks >= kFewestLooks;
    if (facts.calls_are_known) {
        facts.frequent_call = frequent_call(thread);
    }
}

}  // namespace drainwatch
