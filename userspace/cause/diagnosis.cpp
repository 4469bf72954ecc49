#include "cause/diagnosis.hpp"

#include "cause/waiting.hpp"
#include "detect/wording.hpp"
#include "output/escape.hpp"
#include "profile/system_calls.hpp"

#include <fmt/format.h>
#include <csignal>
#include <cstring>

namespace drainwatch {
namespace {

/// A wait that began no later than this share of the silence ago has lasted since then.
constexpr double kWholeSilence = 0.8;

std::string seconds(std::uint64_t ns)
{
    return in_words(static_cast<double>(ns) / 1e9);
}

/// Most of the time without a CPU was the quota's. Some kernels count that as waiting, too.
bool is_quota(const CpuFacts& cpu)
{
    return cpu.throttled.value_or(0) > (1 - cpu.ran) / 2;
}

/// Of a thread that runs or could.
ThreadState state_of_running(const CauseFacts& facts)
{
    const auto& kernel = facts.kernel;
    const bool asks = facts.frequent_call && is_poll(*facts.frequent_call);
    if (!facts.cpu) {
        return !kernel || kernel->on_cpu ? ThreadState::running : ThreadState::runnable;
    }
    const CpuFacts& cpu = *facts.cpu;
    if (cpu.waited > cpu.ran || cpu.throttled.value_or(0) > cpu.ran) {
        return ThreadState::runnable;
    }
    return asks ? ThreadState::polling : ThreadState::running;
}

ThreadState state_of(const CauseFacts& facts)
{
    if (facts.reader_has_ended) {
        return ThreadState::exited;
    }
    switch (facts.state) {
        case 'T':
        case 't': return ThreadState::stopped;
        case 'D': return ThreadState::disk;
        case 'Z':
        case 'X': return ThreadState::zombie;
        case 'R': return state_of_running(facts);
        default: break;
    }
    return facts.call && is_poll(facts.call->number) ? ThreadState::polling : ThreadState::sleeping;
}

/// Who it is: the process, if it has but one thread.
std::string subject(const CauseFacts& facts)
{
    return facts.threads > 1 || facts.reader_has_ended
               ? fmt::format("thread {} of {}", facts.tid, escape(facts.process.comm))
               : escape(facts.process.comm);
}

/// "waits in futex", "has waited 12.3 s in futex"
std::string for_how_long(const CauseFacts& facts, std::string_view now, std::string_view since)
{
    const auto off_ns = facts.kernel ? facts.kernel->off_cpu_ns : std::nullopt;
    if (!off_ns) {
        return std::string(now);
    }
    const bool all_along =
        static_cast<double>(*off_ns) >= kWholeSilence * static_cast<double>(facts.silent_ns);
    return all_along ? fmt::format("{} {}", since, seconds(*off_ns))
                     : fmt::format("{} again and again,", now);
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

std::string object_of(const CauseFacts& facts, const Waiting& waiting)
{
    if (facts.waits_on) {
        return descriptor_in_words(*facts.waits_on);
    }
    return waiting.fd ? fmt::format("descriptor {}", *waiting.fd) : "something";
}

std::string_view why_it_is_full(const std::optional<DescriptorFacts>& descriptor)
{
    if (descriptor && descriptor->kind == DescriptorFacts::Kind::socket) {
        return ", whose peer takes nothing";
    }
    if (descriptor && descriptor->kind == DescriptorFacts::Kind::pipe) {
        return ", which nobody empties";
    }
    return "";
}

std::string writing(const CauseFacts& facts, const std::string& who, const Waiting& waiting)
{
    return fmt::format("{} {} writing to {}{}", who,
                       for_how_long(facts, "is blocked", "has been blocked"),
                       object_of(facts, waiting), why_it_is_full(facts.waits_on));
}

std::string polling(const CauseFacts& facts)
{
    const std::string who = subject(facts);
    const bool spins = facts.state == 'R';
    const auto number = facts.call ? facts.call->number : facts.frequent_call.value_or(-1);
    const std::string name = system_call_name(number);
    std::string sentence =
        spins ? fmt::format("{} calls {} over and over", who, name)
              : fmt::format("{} {} in {}", who, for_how_long(facts, "waits", "has waited"), name);
    if (facts.polls_this_socket == false) {
        sentence += ", which does not ask for this socket";
    } else {
        sentence += " and does not read this socket";
    }
    return sentence;
}

std::string sleeping(const CauseFacts& facts)
{
    const std::string who = subject(facts);
    if (!facts.call) {
        return fmt::format("{} {}", who, for_how_long(facts, "sleeps", "has slept"));
    }
    const Waiting waiting = waiting_in(*facts.call);
    const std::string name = system_call_name(facts.call->number);
    const auto waits = [&] { return for_how_long(facts, "waits", "has waited"); };
    switch (waiting.purpose) {
        case Purpose::sleep:
            return fmt::format("{} {} in {}", who, for_how_long(facts, "sleeps", "has slept"),
                               name);
        case Purpose::lock: return fmt::format("{} {} in {}", who, waits(), name);
        case Purpose::file_lock:
            return fmt::format("{} {} for a lock on {} in {}", who, waits(),
                               object_of(facts, waiting), name);
        case Purpose::read:
            return fmt::format("{} {} to read from {}", who, waits(), object_of(facts, waiting));
        case Purpose::write: return writing(facts, who, waiting);
        case Purpose::accept:
            return fmt::format("{} {} for a new connection in {}", who, waits(), name);
        case Purpose::connect:
            return fmt::format("{} {} for {} to answer its connect", who, waits(),
                               object_of(facts, waiting));
        case Purpose::child:
            return fmt::format("{} {} for a child process to end, in {}", who, waits(), name);
        case Purpose::poll:
        case Purpose::other: break;
    }
    return fmt::format("{} {} in {}", who, waits(), name);
}

std::string running(const CauseFacts& facts)
{
    std::string sentence = subject(facts) + " is busy with something else";
    if (facts.cpu) {
        sentence += fmt::format(": it ran for {:.0f} % of the last {}", 100 * facts.cpu->ran,
                                seconds(facts.cpu->over_ns));
    }
    return sentence;
}

std::string runnable(const CauseFacts& facts)
{
    std::string sentence = subject(facts) + " is runnable but gets no CPU";
    if (facts.cpu) {
        sentence = fmt::format("{} is runnable but got {:.0f} % of a CPU in the last {}{}",
                               subject(facts), 100 * facts.cpu->ran, seconds(facts.cpu->over_ns),
                               is_quota(*facts.cpu) ? " (cgroup quota)" : "");
    }
    return sentence;
}

std::string stopped(const CauseFacts& facts)
{
    const std::string who = escape(facts.process.comm);
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
        case ThreadState::sleeping: return sleeping(facts);
        case ThreadState::polling: return polling(facts);
        case ThreadState::running: return running(facts);
        case ThreadState::runnable: return runnable(facts);
        case ThreadState::disk:
            return fmt::format("{} {} for a disk or file system{}", subject(facts),
                               for_how_long(facts, "waits", "has waited"),
                               facts.call ? " in " + system_call_name(facts.call->number) : "");
        case ThreadState::zombie:
            return subject(facts) + " has ended, and its descriptors are open still";
        case ThreadState::exited: return subject(facts) + ", which read this socket, has exited";
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
    if (!facts.reads_others || facts.sockets < 2) {
        return "";
    }
    return *facts.reads_others ? fmt::format("; {} reads others of its {} sockets",
                                             escape(facts.process.comm), facts.sockets)
                               : fmt::format("; {} reads none of its {} sockets",
                                             escape(facts.process.comm), facts.sockets);
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
    cause.state = state_of(facts);
    cause.sentence = doubts(facts) + what_it_does(facts, cause.state) + scope(facts);
    cause.facts = std::move(facts);
    return cause;
}

}  // namespace drainwatch
