#pragma once

#include "cause/thread_view.hpp"
#include "drainwatch/process.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// What was found out about a process that does not read, before it is judged. What could not be
/// found out is absent.
namespace drainwatch {

/// A system call that a thread is in, as /proc/<tid>/syscall has it.
struct CallFacts {
    std::int32_t number = -1;
    std::array<std::uint64_t, 6> arguments{};
};

/// Something that a process has open.
struct DescriptorFacts {
    enum class Kind { pipe, file, socket, epoll, other };
    std::uint32_t fd = 0;
    Kind kind = Kind::other;
    std::string name;  ///< a path, the peer's address, "pipe:[123]"; raw
};

/// How much of a CPU a thread had, over the time before it was looked at.
struct CpuFacts {
    std::uint64_t over_ns = 0;
    double ran = 0;     ///< share of that time, 0 to 1
    double waited = 0;  ///< it could have run, and another did, or its quota was used up
    std::optional<double> throttled;  ///< share of periods in which its group's quota was used up
    std::optional<std::uint64_t> quiet_ns;  ///< for so long, at least, it has not run
};

/// A system call that a thread which is awake is found in more often than in others.
struct FrequentCall {
    std::int32_t number = -1;
    double share = 0;  ///< of all looks at it, 0 to 1
};

/// Why it is this thread that was looked at.
enum class Chosen {
    last_reader,   ///< it read this socket last
    only_thread,   ///< the process has no other
    waits_for_it,  ///< it waits for this socket
    first_thread,  ///< nothing points to another
};

struct CauseFacts {
    Process process;
    std::uint32_t tid = 0;
    std::string thread_comm;  ///< raw
    Chosen chosen = Chosen::first_thread;
    std::size_t threads = 0;
    bool reader_has_ended =
        false;  ///< the thread that read last, `tid`; nothing else is known then

    /// Some thread of the process waits where nothing wakes it: its memory is not looked into.
    bool hangs_in_kernel = false;
    char state = '?';  ///< as /proc/<pid>/stat has it
    std::optional<CallFacts> call;
    std::optional<KernelView> kernel;
    std::vector<std::string> kernel_stack;  ///< innermost first
    std::optional<CpuFacts> cpu;
    bool calls_are_known = false;  ///< it was looked at often enough, awake at different times
    std::optional<FrequentCall> frequent_call;  ///< of those that looks found it in
    std::optional<DescriptorFacts> waits_on;
    /// It waits in poll, select or epoll: whether for this socket, too.
    std::optional<bool> polls_this_socket;

    bool accepted = true;                ///< false: it waits to be
    bool frozen = false;                 ///< by its control group
    std::optional<std::size_t> sockets;  ///< connections that the process holds
    /// Of the others, those with data that has waited for as long as half of `silent_ns`.
    std::size_t others_waiting = 0;
    std::optional<bool> reads_others;  ///< of those that had something to read
    std::uint64_t silent_ns = 0;       ///< how long this one has waited
    std::optional<std::uint64_t>
        off_cpu_ns;  ///< how long the thread has not run; diagnose() sets it

    std::vector<std::string> user_stack;  ///< innermost first
    std::vector<std::string> missing;     ///< what could not be found out, and why: sentences
};

}  // namespace drainwatch
