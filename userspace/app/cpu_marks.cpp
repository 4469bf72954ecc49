#include "app/cpu_marks.hpp"

#include "drainwatch/profile_abi.h"
#include "host/clock.hpp"

#include <algorithm>
#include <utility>

namespace drainwatch {
namespace {

/// So much older at least is the mark from which CPU time is counted, if there is one.
constexpr std::uint64_t kMarkSpacingNs = 1'000'000'000;
/// Less than this says nothing about shares.
constexpr std::uint64_t kShortestSpanNs = 50'000'000;
/// A thread that nobody noted for so long begins anew.
constexpr std::uint64_t kForgottenNs = 500'000'000;
/// A thread that ran for less than this did not come to do anything.
constexpr std::uint64_t kNextToNothingNs = 100'000;
/// Further threads are not noted.
constexpr std::size_t kMostThreads = 1024;
/// Fewer looks at calls say nothing.
constexpr std::size_t kFewestLooks = 4;

double share(std::uint64_t part_ns, std::uint64_t whole_ns)
{
    return std::min(1.0, static_cast<double>(part_ns) / static_cast<double>(whole_ns));
}

}  // namespace

std::optional<CpuMarks::Mark> CpuMarks::mark(std::uint32_t pid, std::uint32_t tid)
{
    const auto time = proc::cpu_time(pid, tid);
    if (!time) {
        return std::nullopt;
    }
    return Mark{monotonic_ns(), *time, proc::throttled_ns(pid)};
}

bool CpuMarks::note(std::uint32_t pid, std::uint32_t tid, ThreadReader* reader)
{
    const std::uint64_t now_ns = monotonic_ns();
    const auto is_old = [&](const auto& entry) {
        return now_ns - entry.second.noted_ns > kForgottenNs;
    };
    auto known = threads_.find(tid);
    if (known != threads_.end() && is_old(*known)) {
        threads_.erase(known);
        known = threads_.end();
    }
    if (known == threads_.end()) {
        if (threads_.size() >= kMostThreads) {
            std::erase_if(threads_, is_old);
        }
        const auto first = threads_.size() < kMostThreads ? mark(pid, tid) : std::nullopt;
        if (first) {
            threads_.emplace(tid, Thread{*first, *first, *first, now_ns, {}, 0});
        }
        return first.has_value();
    }
    Thread& thread = known->second;
    thread.noted_ns = now_ns;
    if (now_ns - thread.newer.at_ns >= kMarkSpacingNs) {
        if (const auto fresh = mark(pid, tid)) {
            thread.older = std::exchange(thread.newer, *fresh);
        }
    }
    if (reader != nullptr && looking_at_calls_.is_due()) {
        looking_at_calls_.run([&] { look_at_call(tid, thread, *reader); });
    }
    return false;
}

void CpuMarks::look_at_call(std::uint32_t tid, Thread& thread, ThreadReader& reader)
{
    const auto view = reader.look(tid);
    const bool runs = view && (view->on_cpu || view->queued_ns);
    thread.calls.at(thread.looks % thread.calls.size()) =
        runs ? view->last_call.value_or(DW_NO_CALL) : DW_NO_CALL;
    thread.looks++;
}

std::optional<std::int32_t> CpuMarks::frequent_call(std::uint32_t tid) const
{
    const auto known = threads_.find(tid);
    if (known == threads_.end() || known->second.looks < kFewestLooks) {
        return std::nullopt;
    }
    auto calls = known->second.calls;
    const auto end =
        calls.begin() + static_cast<std::ptrdiff_t>(std::min(known->second.looks, calls.size()));
    std::sort(calls.begin(), end);
    // What makes up more than half of them is in their middle.
    const std::int32_t middle = *(calls.begin() + (end - calls.begin()) / 2);
    const bool frequent = 2 * std::count(calls.begin(), end, middle) > end - calls.begin();
    return frequent && middle != DW_NO_CALL ? std::optional(middle) : std::nullopt;
}

std::optional<CpuFacts> CpuMarks::cpu_of(std::uint32_t pid, std::uint32_t tid) const
{
    const auto known = threads_.find(tid);
    const auto now = mark(pid, tid);
    if (known == threads_.end() || !now) {
        return std::nullopt;
    }
    const Thread& thread = known->second;
    const Mark& then = thread.older;
    const std::uint64_t over_ns = now->at_ns - then.at_ns;
    const bool grown =
        now->time.ran_ns >= then.time.ran_ns && now->time.waited_ns >= then.time.waited_ns;
    if (over_ns < kShortestSpanNs || !grown) {
        return std::nullopt;  // or the number is another thread's by now
    }
    CpuFacts cpu{over_ns, share(now->time.ran_ns - then.time.ran_ns, over_ns),
                 share(now->time.waited_ns - then.time.waited_ns, over_ns), std::nullopt,
                 std::nullopt};
    if (now->throttled_ns && then.throttled_ns && *now->throttled_ns >= *then.throttled_ns) {
        cpu.throttled = share(*now->throttled_ns - *then.throttled_ns, over_ns);
    }
    for (const Mark* since : {&thread.newer, &thread.older, &thread.first}) {
        if (now->time.ran_ns - since->time.ran_ns < kNextToNothingNs) {
            cpu.quiet_ns = now->at_ns - since->at_ns;
        }
    }
    return cpu;
}

}  // namespace drainwatch
