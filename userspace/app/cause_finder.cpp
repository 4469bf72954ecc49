#include "app/cause_finder.hpp"

#include "cause/waiting.hpp"
#include "drainwatch/profile_abi.h"
#include "host/clock.hpp"
#include "host/control_group.hpp"
#include "host/proc.hpp"
#include "host/user_stack.hpp"
#include "poll/socket_peer.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <charconv>
#include <chrono>
#include <thread>
#include <unordered_set>
#include <utility>

namespace drainwatch {
namespace {

/// A reader is usually back before this.
constexpr std::uint64_t kSuspiciousNs = 100'000'000;
/// Sockets that stop together ask about the same thread, and the same process.
constexpr std::uint64_t kKeptNs = 200'000'000;
constexpr std::size_t kMostKept = 1024;
/// The same, of what is asked before a process's memory is looked into.
constexpr std::uint64_t kMomentNs = 20'000'000;
/// Of the threads of a process, so many are looked at to find the one that should read.
constexpr std::size_t kMostCandidates = 256;
constexpr std::uint64_t kChoosingNs = 20'000'000;
constexpr unsigned kFewThreads = 16;
/// Of its sockets, so many.
constexpr std::size_t kMostSockets = 4096;
/// Another socket counts as read, or as left waiting, if that was in this last part of the silence.
constexpr double kLatePart = 0.5;
/// A silence shorter than this says nothing about other sockets.
constexpr std::uint64_t kShortestSilenceNs = 200'000'000;

/// For the peer of a socket that is not watched.
constexpr std::chrono::milliseconds kFindingPeer{10};

constexpr double kRarelyAwake = 0.25;
constexpr int kLooksForSleep = 5;
constexpr std::chrono::microseconds kBetweenLooks{500};

/// One part of so many of a CPU, and so much at once.
constexpr std::uint64_t kFollowingPart = 300;
constexpr std::uint64_t kFollowingAtOnceNs = 50'000'000;
constexpr std::uint64_t kFindingPart = 10;
constexpr std::uint64_t kFindingAtOnceNs = 20'000'000;
/// Of the time in which a search only waited, on a host short of CPU perhaps, so much is paid for:
/// a socket may become critical a second after its warning.
constexpr std::uint64_t kMostWaitNs = 9'000'000;

std::uint64_t part_for_finding(double cpu_budget)
{
    return cpu_budget > 0 ? std::max(kFindingPart, static_cast<std::uint64_t>(1 / cpu_budget))
                          : kFindingPart;
}

template <typename Map>
void make_room(Map& map, std::uint64_t now_ns)
{
    std::erase_if(map, [&](const auto& entry) { return now_ns - entry.second.at_ns > kKeptNs; });
    if (map.size() >= kMostKept) {
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

/// "socket:[123]"
std::uint64_t inode_in(const std::string& link)
{
    std::uint64_t inode = 0;
    const auto begin = link.find('[');
    if (begin != std::string::npos) {
        std::from_chars(link.data() + begin + 1, link.data() + link.size(), inode);
    }
    return inode;
}

/// A 32-bit program has its stack and its code below 4 GiB.
std::optional<CallFacts> to_facts(const std::optional<proc::Call>& call)
{
    if (!call) {
        return std::nullopt;
    }
    const bool is_32_bit = (call->sp | call->ip) >> 32 == 0;
    return CallFacts{call->number + (is_32_bit ? DW_COMPAT_CALL : 0), call->arguments};
}

UserRegisters registers_of(const proc::Call& call)
{
    return {call.ip, call.sp, {}, {}, {}, {}, {}, {}};
}

/// Does the call that this thread is in wait for the socket?
bool waits_for(std::uint32_t pid, std::uint32_t tid, PollMembers& members)
{
    const auto call = to_facts(proc::call(pid, tid));
    if (!call) {
        return false;
    }
    const WaitingCall waiting = waiting_in(*call);
    if (waiting.purpose == Purpose::poll) {
        return members.asked_for(tid, *call).value_or(false);
    }
    const auto& fds = members.socket().fds;
    return waiting.purpose == Purpose::read && waiting.fd &&
           std::find(fds.begin(), fds.end(), *waiting.fd) != fds.end();
}

/// Nobody has ever read it, and its process, which we can see into, has no descriptor of it.
bool waits_to_be_accepted(const SocketSample& sample, const Owner& owner)
{
    return !owner.fd && sample.reader_tgid == 0 && sample.last_read_ns == 0 &&
           proc::descriptors_can_be_read(owner.process->pid);
}

SocketInProcess in_process(const SocketSample& sample, const Owner& owner, const HeldSockets& held)
{
    SocketInProcess socket;
    for (const HeldSockets::Socket& one : held.sockets) {
        if (one.cookie == sample.cookie) {
            socket.fds.push_back(one.fd);
        }
    }
    if (owner.fd) {
        socket.inode = proc::socket_inode(owner.process->pid, *owner.fd);
        if (std::find(socket.fds.begin(), socket.fds.end(), *owner.fd) == socket.fds.end()) {
            socket.fds.push_back(*owner.fd);
        }
    }
    return socket;
}

/// What the process did with its other connections, meanwhile.
void compare_others(CauseFacts& facts, const SocketSample& sample, const HeldSockets& held,
                    bool sees_all_sockets)
{
    if (!held.all) {
        return;
    }
    std::unordered_set<Cookie> seen{sample.cookie};
    const auto late = static_cast<std::uint64_t>(kLatePart * static_cast<double>(facts.silent_ns));
    bool read_any = false;
    for (const HeldSockets::Socket& other : held.sockets) {
        if (!seen.insert(other.cookie).second || !other.sample) {
            continue;
        }
        const SocketSample& s = *other.sample;
        const auto since = [&](std::uint64_t at_ns) {
            return s.taken_ns - std::min(at_ns, s.taken_ns);
        };
        const bool by_this = s.reader_tgid == 0 || s.reader_tgid == facts.process.pid;
        read_any = read_any || (by_this && s.last_read_ns != 0 && since(s.last_read_ns) < late);
        const bool waits =
            !s.unread.empty() && since(std::max(s.unread.front().at_ns, s.last_read_ns)) >= late;
        facts.others_waiting += waits ? 1 : 0;
    }
    facts.sockets = seen.size();
    if (facts.silent_ns < kShortestSilenceNs || (!read_any && facts.others_waiting == 0)) {
        return;  // too early to say, or the others had nothing to read
    }
    if (!read_any && !sees_all_sockets) {
        return;  // of those that are not watched, it may read some
    }
    facts.reads_others = read_any;
}

/// Of one that is watched, it is known.
std::string peer_in_words(std::uint32_t tid, std::uint32_t fd, const std::string& link,
                          const HeldSockets& held)
{
    const std::uint64_t inode = inode_in(link);
    const auto known = std::find_if(
        held.sockets.begin(), held.sockets.end(),
        [&](const HeldSockets::Socket& one) { return one.inode == inode && one.sample; });
    if (known != held.sockets.end()) {
        return to_string(known->sample->remote);
    }
    const auto peer = socket_peer(tid, fd, inode, kFindingPeer);
    return peer ? to_string(*peer) : std::string();
}

}  // namespace

CauseFinder::CauseFinder(Source& source, bool sees_all_sockets, double cpu_budget)
    : source_(source),
      sees_all_sockets_(sees_all_sockets),
      following_(kFollowingPart, kFollowingAtOnceNs),
      finding_(part_for_finding(cpu_budget), kFindingAtOnceNs)
{
    if (source.tier() != Tier::bpf) {
        why_no_reader_ = "the kernel's own view of the thread: it needs BPF";
        return;
    }
    auto reader = ThreadReader::open();
    if (reader) {
        reader_ = std::move(*reader);
    } else {
        why_no_reader_ = "the kernel's own view of the thread: " + reader.error().message;
    }
}

bool CauseFinder::Allowance::is_left() const
{
    return paid_until_ns_ <= monotonic_ns();
}

CauseFinder::Allowance::Search CauseFinder::Allowance::begin()
{
    return {monotonic_ns(), cpu_ns()};
}

void CauseFinder::Allowance::spend(const Search& search)
{
    const std::uint64_t now_ns = monotonic_ns();
    const std::uint64_t saved_ns = std::min(now_ns, part_ * at_once_ns_);
    const std::uint64_t waited_ns = std::min(now_ns - search.began_ns, kMostWaitNs);
    const std::uint64_t spent_ns = std::max(cpu_ns() - search.began_cpu_ns, waited_ns);
    paid_until_ns_ = std::max(paid_until_ns_, now_ns - saved_ns) + part_ * spent_ns;
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
    const bool is_affordable = following_.is_left();
    if (tid == 0 || (!is_affordable && !marks_.knows(tid))) {
        return;
    }
    const auto search = Allowance::begin();
    marks_.note(pid, tid, is_affordable ? reader_.get() : nullptr);
    if (is_affordable) {
        const auto due = std::exchange(files_due_, std::nullopt).value_or(std::pair(pid, tid));
        read_files_of(due.first, due.second);
    }
    following_.spend(search);
}

/// The first stack of a process takes longer than those that follow, 30 ms or so, for its files
/// have to be read: not when the verdict is due.
void CauseFinder::read_files_of(std::uint32_t pid, std::uint32_t tid)
{
    const auto call = files_read_.contains(pid) ? std::nullopt : proc::call(pid, tid);
    if (!call) {
        return;
    }
    if (files_read_.size() >= kMostKept) {
        files_read_.clear();
    }
    files_read_.insert(pid);
    if (const KeptProcess* process = look_at_process(pid); process && !process->hangs_in_kernel) {
        (void)read_user_stack(pid, tid, registers_of(*call), symbols_);
    }
}

const HeldSockets& CauseFinder::sockets_of(std::uint32_t pid)
{
    const std::uint64_t now_ns = monotonic_ns();
    const auto known = sockets_.find(pid);
    if (known != sockets_.end() && now_ns - known->second.at_ns < kKeptNs) {
        return known->second.held;
    }
    make_room(sockets_, now_ns);
    KeptSockets& kept = sockets_[pid];
    kept = {now_ns, source_.sockets_of(pid, kMostSockets)};
    return kept.held;
}

/// Null if it has ended.
const CauseFinder::KeptProcess* CauseFinder::look_at_process(std::uint32_t pid)
{
    const std::uint64_t now_ns = monotonic_ns();
    if (process_ && process_->pid == pid && now_ns - process_->at_ns < kMomentNs) {
        return &*process_;
    }
    process_.reset();
    if (const auto identity = proc::identity(pid)) {
        process_ = {pid, now_ns, identity->threads, hangs_in_kernel(pid, identity->threads)};
    }
    return process_ ? &*process_ : nullptr;
}

/// Its memory is not looked into then: what holds it may be what the thread hangs with. A few
/// threads are asked sooner than the kernel's list of all.
bool CauseFinder::hangs_in_kernel(std::uint32_t pid, std::uint32_t threads) const
{
    const auto any =
        reader_ && threads > kFewThreads ? reader_->any_hangs(pid, threads) : std::nullopt;
    return any ? *any : proc::hangs_in_kernel(pid, kMostCandidates);
}

void CauseFinder::choose_thread(CauseFacts& facts, const SocketSample& sample, PollMembers& members)
{
    const std::uint32_t pid = facts.process.pid;
    const bool reader_is_known = sample.reader_tgid == pid && sample.reader_tid != 0;
    if (reader_is_known && proc::thread(pid, sample.reader_tid)) {
        facts.tid = sample.reader_tid;
        facts.chosen = facts.threads == 1 ? Chosen::only_thread : Chosen::last_reader;
        return;
    }
    const auto ids = proc::thread_ids(pid, kMostCandidates);
    const std::uint64_t ends_ns = monotonic_ns() + kChoosingNs;
    const auto waiting = std::find_if(ids.begin(), ids.end(), [&](std::uint32_t tid) {
        return !facts.hangs_in_kernel && monotonic_ns() < ends_ns && waits_for(pid, tid, members);
    });
    if (waiting != ids.end() && ids.size() > 1) {
        facts.tid = *waiting;
        facts.chosen = Chosen::waits_for_it;
    } else if (reader_is_known) {
        facts.tid = sample.reader_tid;
        facts.chosen = Chosen::last_reader;
        facts.reader_has_ended = true;
    } else {
        facts.tid = pid;
        facts.chosen = ids.size() == 1 ? Chosen::only_thread : Chosen::first_thread;
    }
}

/// The stack is only told if the thread did not move meanwhile.
void CauseFinder::look_at_stack(CauseFacts& facts, const proc::Call& before)
{
    if (facts.hangs_in_kernel) {
        facts.missing.emplace_back(
            "user stack: a thread may hang in the kernel and hold the process's memory");
        return;
    }
    if (!files_read_.contains(facts.process.pid)) {
        files_due_.emplace(facts.process.pid, facts.tid);
        facts.missing.emplace_back(
            "user stack: there was no time yet to read the files of the process");
        return;
    }
    UserRegisters registers = registers_of(before);
    if (facts.kernel && facts.kernel->registers && facts.kernel->registers->sp == before.sp &&
        facts.kernel->registers->ip == before.ip) {
        registers = *facts.kernel->registers;
    }
    UserStack stack = read_user_stack(facts.process.pid, facts.tid, registers, symbols_);
    const auto after = proc::call(facts.process.pid, facts.tid);
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

void CauseFinder::look_into_kernel(CauseFacts& facts)
{
    if (!reader_) {
        facts.missing.push_back(why_no_reader_);
    } else if (facts.kernel = reader_->look(facts.process.pid, facts.tid); !facts.kernel) {
        facts.missing.emplace_back("the kernel's own view of the thread: it was not found there");
    }
    facts.kernel_stack =
        facts.kernel ? facts.kernel->stack : proc::kernel_stack(facts.process.pid, facts.tid);
}

/// One that sleeps most of the time may be awake for just this moment: what it sleeps in is of
/// interest.
std::optional<proc::Thread> CauseFinder::find_asleep(const CauseFacts& facts)
{
    const bool sleeps = facts.cpu && facts.cpu->ran + facts.cpu->waited < kRarelyAwake;
    auto thread = proc::thread(facts.process.pid, facts.tid);
    for (int i = 0; i < kLooksForSleep && sleeps && thread && thread->state == 'R'; i++) {
        std::this_thread::sleep_for(kBetweenLooks);
        thread = proc::thread(facts.process.pid, facts.tid);
    }
    return thread;
}

/// One that sleeps may wake for a moment, and is not told of in it.
std::optional<proc::Call> CauseFinder::call_of(const CauseFacts& facts)
{
    auto call = proc::call(facts.process.pid, facts.tid);
    for (int i = 0; i < kLooksForSleep && !call && facts.state == 'S'; i++) {
        std::this_thread::sleep_for(kBetweenLooks);
        call = proc::call(facts.process.pid, facts.tid);
    }
    return call;
}

/// False if it has ended meanwhile.
bool CauseFinder::look_at_thread(CauseFacts& facts)
{
    marks_.tell(facts);
    const auto thread = find_asleep(facts);
    if (!thread) {
        facts.reader_has_ended = facts.chosen == Chosen::last_reader;
        return facts.reader_has_ended;
    }
    facts.thread_comm = thread->comm;
    facts.state = thread->state;
    look_into_kernel(facts);
    facts.frozen = proc::is_frozen(facts.process.pid);
    // The kernel waits for one that is about to sleep and has no CPU.
    const bool is_queued = facts.kernel && facts.kernel->queued_ns;
    const auto call = is_queued ? std::nullopt : call_of(facts);
    facts.call = to_facts(call);
    if (call) {
        look_at_stack(facts, *call);
    } else if (facts.state == 'S' || facts.state == 'D') {
        facts.missing.emplace_back("system call: /proc/<tid>/syscall does not tell it");
    }
    return true;
}

/// What the thread's system call waits for.
void CauseFinder::look_at_descriptor(CauseFacts& facts, const HeldSockets& held)
{
    const auto fd = facts.call ? waiting_in(*facts.call).fd : std::nullopt;
    const auto link = fd ? proc::descriptor(facts.tid, *fd) : std::nullopt;
    if (!link) {
        return;
    }
    DescriptorFacts descriptor{*fd, kind_of(*link), *link};
    if (descriptor.kind == DescriptorFacts::Kind::socket) {
        descriptor.name = peer_in_words(facts.tid, *fd, *link, held);
    }
    facts.waits_on = std::move(descriptor);
}

void CauseFinder::look_at_poll(CauseFacts& facts, PollMembers& members)
{
    const bool polls = facts.call && waiting_in(*facts.call).purpose == Purpose::poll;
    if (polls && !facts.hangs_in_kernel) {
        facts.polls_this_socket = members.asked_for(facts.tid, *facts.call);
    }
}

Result<Cause> CauseFinder::look(const SocketSample& sample, const Owner& owner,
                                std::uint64_t silent_ns)
{
    CauseFacts facts;
    facts.process = *owner.process;
    const KeptProcess* process = look_at_process(facts.process.pid);
    if (process == nullptr) {
        return fail("it has ended");
    }
    facts.threads = process->threads;
    facts.hangs_in_kernel = process->hangs_in_kernel;
    const HeldSockets& held = sockets_of(facts.process.pid);
    PollMembers members(in_process(sample, owner, held));
    choose_thread(facts, sample, members);
    const std::uint64_t now_ns = monotonic_ns();
    const auto known = threads_.find(facts.tid);
    if (!facts.reader_has_ended && known != threads_.end() &&
        now_ns - known->second.at_ns < kKeptNs &&
        known->second.facts.process.pid == facts.process.pid) {
        const CauseFacts now = std::exchange(facts, known->second.facts);
        facts.chosen = now.chosen;
        facts.hangs_in_kernel = now.hangs_in_kernel;
    } else if (!facts.reader_has_ended) {
        if (!look_at_thread(facts)) {
            return fail("it has ended");
        }
        look_at_descriptor(facts, held);
        make_room(threads_, now_ns);
        threads_[facts.tid] = {now_ns, facts};
    }
    facts.silent_ns = silent_ns;
    facts.accepted = !waits_to_be_accepted(sample, owner);
    compare_others(facts, sample, held, sees_all_sockets_);
    look_at_poll(facts, members);
    return diagnose(std::move(facts));
}

Result<Cause> CauseFinder::find(const SocketSample& sample, const Owner& owner,
                                std::uint64_t silent_ns)
{
    if (!owner.process) {
        return fail("it is not known whose socket it is");
    }
    if (!finding_.is_left()) {
        return fail("what may be spent on looking for it is used up");
    }
    const auto search = Allowance::begin();
    auto cause = look(sample, owner, silent_ns);
    finding_.spend(search);
    return cause;
}

}  // namespace drainwatch
