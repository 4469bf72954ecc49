#include "app/cause_finder.hpp"

#include "app/poll_members.hpp"
#include "cause/waiting.hpp"
#include "host/clock.hpp"
#include "host/proc.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <chrono>
#include <set>
#include <thread>

namespace drainwatch {
namespace {

/// A reader is usually back before this.
constexpr std::uint64_t kSuspiciousNs = 100'000'000;
/// So much older at most is the mark from which CPU time is counted.
constexpr std::uint64_t kMarkSpacingNs = 1'000'000'000;
/// Less than this says nothing about shares.
constexpr std::uint64_t kShortestSpanNs = 50'000'000;
/// A thread that nobody asked about for so long begins anew.
constexpr std::uint64_t kForgottenNs = 500'000'000;
/// Sockets that stop together ask about the same thread.
constexpr std::uint64_t kKeptNs = 200'000'000;
constexpr std::size_t kMostThreads = 1024;
/// Of the threads of a process, so many are looked at to find the one that should read.
constexpr std::size_t kMostCandidates = 256;
/// Another socket counts as read if that was in this last part of the silence.
constexpr double kLatePart = 0.5;

/// So often is one looked at that runs: between its calls, nothing says which it was in.
constexpr int kLooksAtRunning = 6;
constexpr std::chrono::microseconds kBetweenLooks{200};

template <typename Map, typename IsOld>
void bound(Map& map, IsOld&& is_old)
{
    if (map.size() >= kMostThreads) {
        std::erase_if(map, is_old);
    }
    if (map.size() >= kMostThreads) {
        map.clear();
    }
}

DescriptorFacts::Kind kind_of(const std::string& link)
{
    using Kind = DescriptorFacts::Kind;
    if (link.starts_with("pipe:")) {
        return Kind::pipe;
    }
    if (link.starts_with("socket:")) {
        return Kind::socket;
    }
    if (link == "anon_inode:[eventpoll]") {
        return Kind::epoll;
    }
    return link.starts_with('/') ? Kind::file : Kind::other;
}

double share(std::uint64_t part_ns, std::uint64_t whole_ns)
{
    return std::min(1.0, static_cast<double>(part_ns) / static_cast<double>(whole_ns));
}

CallFacts to_facts(const proc::Call& call)
{
    return {call.number, call.arguments};
}

UserRegisters registers_of(const proc::Call& call)
{
    return {call.ip, call.sp, {}, {}, {}, {}, {}, {}};
}

/// Does the call that this thread is in wait for the descriptor?
bool waits_for(std::uint32_t pid, std::uint32_t tid, std::uint32_t fd)
{
    const auto call = proc::call(tid);
    if (!call) {
        return false;
    }
    const CallFacts facts = to_facts(*call);
    const Waiting waiting = waiting_in(facts);
    if (waiting.purpose == Purpose::poll) {
        return polls(pid, facts, fd).value_or(false);
    }
    return waiting.purpose == Purpose::read && waiting.fd == fd;
}

}  // namespace

CauseFinder::CauseFinder(Source& source) : source_(source)
{
    if (source.tier() != Tier::bpf) {
        why_no_reader_ = "kernel stack and time of waiting: they need BPF";
        return;
    }
    auto reader = ThreadReader::open();
    if (reader) {
        reader_ = std::move(*reader);
    } else {
        why_no_reader_ = "kernel stack and time of waiting: " + reader.error().message;
    }
}

std::optional<CauseFinder::Mark> CauseFinder::mark(std::uint32_t pid, std::uint32_t tid)
{
    const auto time = proc::cpu_time(pid, tid);
    if (!time) {
        return std::nullopt;
    }
    return Mark{monotonic_ns(), *time, proc::throttled_ns(pid)};
}

void CauseFinder::prepare(const SocketSample& sample)
{
    const std::uint64_t now_ns = monotonic_ns();
    if (sample.unread.empty() ||
        now_ns - std::max(sample.unread.front().at_ns, sample.last_read_ns) < kSuspiciousNs) {
        return;
    }
    const std::uint32_t pid = sample.reader_tgid != 0 ? sample.reader_tgid : sample.owner_tgid;
    const std::uint32_t tid = sample.reader_tid != 0 ? sample.reader_tid : pid;
    if (tid == 0) {
        return;
    }
    auto known = marks_.find(tid);
    if (known != marks_.end() && now_ns - known->second.wanted_ns > kForgottenNs) {
        marks_.erase(known);
        known = marks_.end();
    }
    if (known != marks_.end()) {
        Marks& marks = known->second;
        marks.wanted_ns = now_ns;
        if (now_ns - marks.newer.at_ns >= kMarkSpacingNs) {
            if (const auto fresh = mark(pid, tid)) {
                marks.older = std::exchange(marks.newer, *fresh);
            }
        }
        return;
    }
    if (const auto first = mark(pid, tid)) {
        bound(marks_,
              [&](const auto& entry) { return now_ns - entry.second.wanted_ns > kForgottenNs; });
        marks_.emplace(tid, Marks{*first, *first, now_ns});
        read_files_of(pid, tid);
    }
}

/// The first stack of a process takes longer than those that follow, for its files have to be read:
/// not when the verdict is due.
void CauseFinder::read_files_of(std::uint32_t pid, std::uint32_t tid)
{
    if (files_read_.size() >= kMostThreads) {
        files_read_.clear();
    }
    const auto call = proc::call(tid);
    if (call && files_read_.insert(pid).second) {
        (void)read_user_stack(pid, tid, registers_of(*call), symbols_);
    }
}

std::optional<CpuFacts> CauseFinder::cpu_since_mark(std::uint32_t pid, std::uint32_t tid) const
{
    const auto known = marks_.find(tid);
    const auto now = mark(pid, tid);
    if (known == marks_.end() || !now) {
        return std::nullopt;
    }
    const Mark& then = known->second.older;
    const std::uint64_t over_ns = now->at_ns - then.at_ns;
    const bool grown =
        now->time.ran_ns >= then.time.ran_ns && now->time.waited_ns >= then.time.waited_ns;
    if (over_ns < kShortestSpanNs || !grown) {
        return std::nullopt;  // or the number is another thread's by now
    }
    CpuFacts cpu{over_ns, share(now->time.ran_ns - then.time.ran_ns, over_ns),
                 share(now->time.waited_ns - then.time.waited_ns, over_ns), std::nullopt};
    if (now->throttled_ns && then.throttled_ns && *now->throttled_ns >= *then.throttled_ns) {
        cpu.throttled = share(*now->throttled_ns - *then.throttled_ns, over_ns);
    }
    return cpu;
}

void CauseFinder::choose_thread(CauseFacts& facts, const SocketSample& sample,
                                const Owner& owner) const
{
    const std::uint32_t pid = facts.process.pid;
    const auto ids = proc::thread_ids(pid, kMostCandidates);
    const auto identity = proc::identity(pid);
    facts.threads = identity ? identity->threads : ids.size();
    if (sample.reader_tgid == pid && sample.reader_tid != 0) {
        facts.tid = sample.reader_tid;
        facts.chosen = Chosen::last_reader;
        return;
    }
    facts.tid = pid;
    facts.chosen = ids.size() == 1 ? Chosen::only_thread : Chosen::first_thread;
    if (ids.size() <= 1 || !owner.fd) {
        return;
    }
    const auto waiting = std::find_if(
        ids.begin(), ids.end(), [&](std::uint32_t tid) { return waits_for(pid, tid, *owner.fd); });
    if (waiting != ids.end()) {
        facts.tid = *waiting;
        facts.chosen = Chosen::waits_for_it;
    }
}

std::optional<std::int32_t> CauseFinder::find_frequent_call(std::uint32_t tid)
{
    std::set<std::int32_t> seen;
    for (int i = 0; reader_ && i < kLooksAtRunning; i++) {
        const auto view = reader_->look(tid);
        if (view && view->last_call && !seen.insert(*view->last_call).second) {
            return view->last_call;
        }
        std::this_thread::sleep_for(kBetweenLooks);
    }
    return std::nullopt;
}

/// The stack is only told if the thread did not move meanwhile.
void CauseFinder::look_at_stack(CauseFacts& facts, const proc::Call& before)
{
    UserRegisters registers = registers_of(before);
    if (facts.kernel && facts.kernel->registers && facts.kernel->registers->sp == before.sp &&
        facts.kernel->registers->ip == before.ip) {
        registers = *facts.kernel->registers;
    }
    UserStack stack = read_user_stack(facts.process.pid, facts.tid, registers, symbols_);
    const auto after = proc::call(facts.tid);
    if (!after || after->sp != before.sp || after->ip != before.ip ||
        after->number != before.number) {
        facts.missing.emplace_back("user stack: the thread moved on while it was read");
        return;
    }
    if (std::string missing = stack.missing(); !missing.empty()) {
        facts.missing.push_back(std::move(missing));
    }
    facts.user_stack = std::move(stack.frames);
}

CauseFacts CauseFinder::look_at_thread(CauseFacts facts)
{
    const std::uint64_t now_ns = monotonic_ns();
    const auto known = kept_.find(facts.tid);
    if (known != kept_.end() && now_ns - known->second.at_ns < kKeptNs &&
        known->second.facts.process.pid == facts.process.pid) {
        CauseFacts kept = known->second.facts;
        kept.chosen = facts.chosen;
        return kept;
    }
    const auto thread = proc::thread(facts.process.pid, facts.tid);
    if (!thread) {
        facts.reader_has_ended = facts.chosen == Chosen::last_reader;
        return facts;
    }
    facts.thread_comm = thread->comm;
    facts.state = thread->state;
    if (reader_) {
        facts.kernel = reader_->look(facts.tid);
    } else {
        facts.missing.push_back(why_no_reader_);
    }
    facts.cpu = cpu_since_mark(facts.process.pid, facts.tid);
    if (facts.state == 'R') {
        facts.frequent_call = find_frequent_call(facts.tid);
    }
    if (const auto call = proc::call(facts.tid)) {
        facts.call = to_facts(*call);
        look_at_stack(facts, *call);
    } else if (facts.state == 'S' || facts.state == 'D') {
        facts.missing.emplace_back("system call: /proc/<tid>/syscall does not tell it");
    }
    bound(kept_, [&](const auto& entry) { return now_ns - entry.second.at_ns > kKeptNs; });
    kept_[facts.tid] = {now_ns, facts};
    return facts;
}

void CauseFinder::look_at_wait(CauseFacts& facts, const Owner& owner,
                               const SocketSample& sample) const
{
    const auto held = source_.sockets_of(facts.process.pid);
    facts.sockets = held.size();
    const std::uint64_t now_ns = monotonic_ns();
    const auto late_ns =
        now_ns - static_cast<std::uint64_t>(kLatePart * static_cast<double>(facts.silent_ns));
    facts.reads_others = std::any_of(held.begin(), held.end(), [&](const HeldSocket& other) {
        return other.cookie != sample.cookie && other.last_read_ns > late_ns;
    });
    if (!facts.call) {
        return;
    }
    const Waiting waiting = waiting_in(*facts.call);
    if (waiting.purpose == Purpose::poll && owner.fd) {
        facts.polls_this_socket = polls(facts.process.pid, *facts.call, *owner.fd);
    }
    const auto link = waiting.fd ? proc::descriptor(facts.process.pid, *waiting.fd) : std::nullopt;
    if (!link) {
        return;
    }
    DescriptorFacts descriptor{*waiting.fd, kind_of(*link), *link};
    if (descriptor.kind == DescriptorFacts::Kind::socket) {
        const auto known = std::find_if(held.begin(), held.end(), [&](const HeldSocket& other) {
            return other.fd == *waiting.fd;
        });
        descriptor.name = known != held.end() && known->remote.family != 0
                              ? to_string(known->remote)
                              : std::string();
    }
    facts.waits_on = std::move(descriptor);
}

std::optional<Cause> CauseFinder::find(const SocketSample& sample, const Owner& owner,
                                       std::uint64_t silent_ns)
{
    if (!owner.process) {
        return std::nullopt;
    }
    CauseFacts facts;
    facts.process = *owner.process;
    choose_thread(facts, sample, owner);
    const std::size_t threads = facts.threads;
    facts = look_at_thread(std::move(facts));
    facts.threads = threads;
    facts.silent_ns = silent_ns;
    look_at_wait(facts, owner, sample);
    return diagnose(std::move(facts));
}

}  // namespace drainwatch
