#include "cause/diagnosis.hpp"

#include "cause/waiting.hpp"
#include "detect/wording.hpp"
#include "output/escape.hpp"
#include "profile/system_calls.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <csignal>
#include <cstring>

namespace drainwatch {
namespace {

/// A wait of at least this share of the silence has lasted since its beginning.
constexpr double kWholeSilence = 0.8;

/// What a thread did for this share of the time is what it does.
constexpr double kMostOfTheTime = 0.5;

/// A call that so many looks found is made over and over: one that computes is seen in its last one
/// until a tick of the clock.
constexpr double kManyTimes = 0.25;

/// Who wants a CPU and has had this much of one has only himself to blame.
constexpr double kEnoughOfACpu = 0.25;

std::string seconds(std::uint64_t ns)
{
    return in_words(static_cast<double>(ns) / 1e9);
}

bool wants_cpu(const CauseFacts& facts)
{
    return facts.cpu && facts.cpu->ran + facts.cpu->waited >= kMostOfTheTime;
}

bool is_starved(const CauseFacts& facts)
{
    return wants_cpu(facts) && facts.cpu->ran < kEnoughOfACpu;
}

bool is_busy(const CauseFacts& facts)
{
    return wants_cpu(facts) && facts.cpu->ran >= kEnoughOfACpu;
}

bool is_in_kernel_at(const CauseFacts& facts, std::string_view place)
{
    return std::any_of(
        facts.kernel_stack.begin(), facts.kernel_stack.end(),
        [&](const std::string& frame) { return frame.find(place) != std::string::npos; });
}

/// In the midst of what it does, which may be to read this very socket.
bool waits_for_a_page(const CauseFacts& facts)
{
    return is_in_kernel_at(facts, "handle_mm_fault");
}

/// Who comes to ask again and again comes to read. One that gets its CPU seldom is found as it
/// comes back from its waits more often than it asks.
bool polls_over_and_over(const CauseFacts& facts)
{
    return facts.frequent_call && is_poll(facts.frequent_call->number) &&
           facts.frequent_call->share >= (is_starved(facts) ? kMostOfTheTime : kManyTimes);
}

/// Found with a CPU, or waiting for one.
ThreadState state_of_running(const CauseFacts& facts)
{
    if (polls_over_and_over(facts)) {
        return ThreadState::polling;
    }
    if (is_starved(facts)) {
        return ThreadState::runnable;
    }
    const bool has_none = facts.kernel && !facts.kernel->on_cpu;
    return has_none && !is_busy(facts) ? ThreadState::runnable : ThreadState::running;
}

/// Found asleep, which it may not have been for most of the time.
ThreadState state_of_sleeping(const CauseFacts& facts)
{
    if (is_starved(facts)) {
        return ThreadState::runnable;
    }
    if (waits_for_a_page(facts)) {
        return ThreadState::sleeping;
    }
    if (facts.call && is_poll(facts.call->number)) {
        return ThreadState::polling;
    }
    return is_busy(facts) ? ThreadState::running : ThreadState::sleeping;
}

ThreadState state_of(const CauseFacts& facts)
{
    if (facts.reader_has_ended) {
        return ThreadState::exited;
    }
    if (facts.frozen) {
        return ThreadState::stopped;
    }
    switch (facts.state) {
        case 'T':
        case 't': return ThreadState::stopped;
        case 'D': return ThreadState::disk;
        case 'Z':
        case 'X': return ThreadState::zombie;
        case 'R': return state_of_running(facts);
        default: return state_of_sleeping(facts);
    }
}

/// Who it is: the process, if it has but one thread; else why that thread.
std::string subject(const CauseFacts& facts)
{
    std::string comm = escape(facts.process.comm);
    if (facts.threads <= 1) {
        return comm;
    }
    std::string thread = fmt::format("thread {} of {}", facts.tid, comm);
    switch (facts.chosen) {
        case Chosen::last_reader: return thread + ", which read this socket last,";
        case Chosen::waits_for_it: return thread + ", which waits for this socket,";
        case Chosen::only_thread:
        case Chosen::first_thread: break;
    }
    return thread;
}

/// It has not run since the silence began.
bool waits_all_along(const CauseFacts& facts)
{
    return facts.off_cpu_ns && static_cast<double>(*facts.off_cpu_ns) >=
                                   kWholeSilence * static_cast<double>(facts.silent_ns);
}

/// "waits in futex", "has waited 12.3 s in futex", "waits in futex, this time for 2 ms"
std::string lasting(const CauseFacts& facts, std::string_view now, std::string_view since,
                    const std::string& at_what)
{
    if (waits_all_along(facts)) {
        return fmt::format("{} {}{}", since, seconds(*facts.off_cpu_ns), at_what);
    }
    return facts.off_cpu_ns
               ? fmt::format("{}{}, this time for {}", now, at_what, seconds(*facts.off_cpu_ns))
               : fmt::format("{}{}", now, at_what);
}

std::string descriptor_in_words(const DescriptorFacts& d)
{
    switch (d.kind) {
        case DescriptorFacts::Kind::pipe:
            return fmt::format("a pipe (descriptor {}, {})", d.fd, escape(d.name));
        case DescriptorFacts::Kind::file:
            return fmt::format("{} (descriptor {})", escape(d.name), d.fd);
        case DescriptorFacts::Kind::socket:
            return d.name.empty() ? fmt::format("another socket (descriptor {})", d.fd)
                                  : fmt::format("{} (descriptor {})", d.name, d.fd);
        case DescriptorFacts::Kind::epoll: return fmt::format("an epoll set (descriptor {})", d.fd);
        case DescriptorFacts::Kind::other: break;
    }
    return fmt::format("descriptor {} ({})", d.fd, escape(d.name));
}

std::string object_of(const CauseFacts& facts, const WaitingCall& waiting)
{
    if (facts.waits_on) {
        return descriptor_in_words(*facts.waits_on);
    }
    return waiting.fd ? fmt::format("descriptor {}", *waiting.fd) : "something";
}

std::string_view why_it_is_full(const CauseFacts& facts)
{
    if (!facts.waits_on || !waits_all_along(facts)) {
        return "";
    }
    switch (facts.waits_on->kind) {
        case DescriptorFacts::Kind::socket: return ", whose peer takes nothing";
        case DescriptorFacts::Kind::pipe: return ", which nobody empties";
        case DescriptorFacts::Kind::file:
        case DescriptorFacts::Kind::epoll:
        case DescriptorFacts::Kind::other: break;
    }
    return "";
}

std::string polling(const CauseFacts& facts)
{
    const bool spins = facts.state == 'R' || is_busy(facts);
    const auto called = facts.call ? std::optional(facts.call->number) : std::nullopt;
    const auto number =
        spins && facts.frequent_call ? facts.frequent_call->number : called.value_or(-1);
    const std::string name = system_call_name(number);
    return fmt::format("{} {}{}", subject(facts),
                       spins ? fmt::format("calls {} over and over", name)
                             : lasting(facts, "waits", "has waited", " in " + name),
                       facts.polls_this_socket == false ? ", which does not ask for this socket"
                                                        : " and does not read this socket");
}

std::string waiting(const CauseFacts& facts, const std::string& for_what)
{
    return fmt::format("{} {}", subject(facts),
                       lasting(facts, "waits", "has waited", " " + for_what));
}

std::string sleeping(const CauseFacts& facts)
{
    const std::string who = subject(facts);
    if (!facts.call) {
        return fmt::format("{} {}", who, lasting(facts, "sleeps", "has slept", ""));
    }
    const WaitingCall call = waiting_in(*facts.call);
    const std::string name = system_call_name(facts.call->number);
    const std::string object = object_of(facts, call);
    switch (call.purpose) {
        case Purpose::sleep:
            return fmt::format("{} {}", who, lasting(facts, "sleeps", "has slept", " in " + name));
        case Purpose::file_lock:
            return waiting(facts, fmt::format("for a lock on {} in {}", object, name));
        case Purpose::read: return waiting(facts, "to read from " + object);
        case Purpose::write:
            return fmt::format(
                "{} {}{}", who,
                lasting(facts, "is blocked", "has been blocked", " writing to " + object),
                why_it_is_full(facts));
        case Purpose::accept: return waiting(facts, "for a new connection in " + name);
        case Purpose::connect:
            return waiting(facts, fmt::format("for {} to answer its connect", object));
        case Purpose::child: return waiting(facts, "for a child process to end, in " + name);
        case Purpose::lock:
        case Purpose::poll:
        case Purpose::other: break;
    }
    return waiting(facts, "in " + name);
}

std::string running(const CauseFacts& facts)
{
    // Else it may call poll over and over.
    const std::string_view busy = facts.calls_are_known ? "is busy with something else" : "is busy";
    if (!facts.cpu) {
        return subject(facts) + " runs just now";
    }
    const CpuFacts& cpu = *facts.cpu;
    return fmt::format(
        "{} {} for {:.0f} % of the last {}", subject(facts),
        is_busy(facts) ? fmt::format("{}: it ran", busy) : "runs just now, as it did",
        100 * cpu.ran, seconds(cpu.over_ns));
}

std::string runnable(const CauseFacts& facts)
{
    if (!is_starved(facts)) {
        return subject(facts) + " waits for a CPU just now";
    }
    const CpuFacts& cpu = *facts.cpu;
    return fmt::format("{} is runnable but got {:.0f} % of a CPU in the last {}{}", subject(facts),
                       100 * cpu.ran, seconds(cpu.over_ns),
                       cpu.throttled.value_or(0) >= kMostOfTheTime ? " (cgroup quota)" : "");
}

std::string in_call(const CauseFacts& facts)
{
    return facts.call ? " in " + system_call_name(facts.call->number) : "";
}

std::string paging(const CauseFacts& facts)
{
    return waiting(facts, "for a page of memory" + in_call(facts));
}

std::string disk(const CauseFacts& facts)
{
    return waiting(facts, (is_in_kernel_at(facts, "io_schedule")
                               ? "for a disk or file system"
                               : "in the kernel, where no signal wakes it,") +
                              in_call(facts));
}

std::string stopped(const CauseFacts& facts)
{
    const std::string who = escape(facts.process.comm);
    if (facts.frozen) {
        return who + " is frozen by its control group";
    }
    if (facts.state == 't') {
        return who + " is stopped by a debugger";
    }
    const auto signal = facts.kernel ? static_cast<int>(facts.kernel->stop_signal) : 0;
    const char* name = signal != 0 ? sigabbrev_np(signal) : nullptr;
    return name != nullptr ? fmt::format("{} is stopped (SIG{})", who, name) : who + " is stopped";
}

std::string what_it_does(const CauseFacts& facts, ThreadState state)
{
    switch (state) {
        case ThreadState::stopped: return stopped(facts);
        case ThreadState::sleeping:
            return waits_for_a_page(facts) ? paging(facts) : sleeping(facts);
        case ThreadState::polling: return polling(facts);
        case ThreadState::running: return running(facts);
        case ThreadState::runnable: return runnable(facts);
        case ThreadState::disk: return waits_for_a_page(facts) ? paging(facts) : disk(facts);
        case ThreadState::zombie: return subject(facts) + " has ended";
        case ThreadState::exited:
            return fmt::format("thread {} of {}, which read this socket last, has exited",
                               facts.tid, escape(facts.process.comm));
    }
    return "";
}

/// Nothing points to the thread that was looked at.
std::string doubts(const CauseFacts& facts)
{
    return facts.chosen == Chosen::first_thread && facts.threads > 1
               ? fmt::format("which of the {} threads of {} reads is not known; ", facts.threads,
                             escape(facts.process.comm))
               : "";
}

std::string scope(const CauseFacts& facts)
{
    if (!facts.accepted) {
        return "; nobody has accepted this connection";
    }
    if (!facts.reads_others || !facts.sockets) {
        return "";
    }
    const std::string who = escape(facts.process.comm);
    if (*facts.reads_others) {
        return fmt::format("; {} reads others of its {} sockets", who, *facts.sockets);
    }
    const std::size_t waiting = facts.others_waiting + 1;
    return waiting == *facts.sockets
               ? fmt::format("; {} reads none of its {} sockets", who, *facts.sockets)
               : fmt::format("; {} reads none of the {} with unread data, of its {} sockets", who,
                             waiting, *facts.sockets);
}

/// How long it has not run. What the kernel knows of a real-time thread is an upper bound, and CPU
/// time that did not grow is a lower one.
std::optional<std::uint64_t> off_cpu_ns(const CauseFacts& facts)
{
    if (facts.state == 'R') {
        return std::nullopt;
    }
    if (facts.kernel && facts.kernel->off_cpu_ns) {
        return facts.kernel->off_cpu_ns;
    }
    const auto quiet_ns = facts.cpu ? facts.cpu->quiet_ns : std::nullopt;
    const auto at_most_ns = facts.kernel ? facts.kernel->off_cpu_at_most_ns : std::nullopt;
    return quiet_ns && at_most_ns ? std::optional(std::min(*quiet_ns, *at_most_ns)) : quiet_ns;
}

}  // namespace

std::string_view to_string(ThreadState state)
{
    switch (state) {
        case ThreadState::stopped: return "stopped";
        case ThreadState::sleeping: return "sleeping";
        case ThreadState::polling: return "polling";
        case ThreadState::running: return "running";
        case ThreadState::runnable: return "runnable";
        case ThreadState::disk: return "disk";
        case ThreadState::zombie: return "zombie";
        case ThreadState::exited: return "exited";
    }
    return "";
}

Cause diagnose(CauseFacts facts)
{
    Cause cause;
    facts.off_cpu_ns = off_cpu_ns(facts);
    cause.state = state_of(facts);
    cause.sentence = doubts(facts) + what_it_does(facts, cause.state) + scope(facts);
    cause.facts = std::move(facts);
    return cause;
}

}  // namespace drainwatch
