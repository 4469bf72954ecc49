#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// What /proc tells about threads. A thread may end at any time: then the answer is empty.
namespace drainwatch::proc {

struct Thread {
    std::string comm;
    char state = '?';  ///< 'R' if it runs, or could; 'S', 'D', 'T', 't', 'Z', ...
};
[[nodiscard]] std::optional<Thread> thread(std::uint32_t pid, std::uint32_t tid);

/// Threads of the process, `most` at most, the first one first.
[[nodiscard]] std::vector<std::uint32_t> thread_ids(std::uint32_t pid, std::size_t most);

/// The system call that a thread sleeps in.
struct Call {
    std::int32_t number = -1;
    std::array<std::uint64_t, 6> arguments{};
    std::uint64_t sp = 0;
    std::uint64_t ip = 0;
};
/// Nothing if it runs, sleeps outside of any, or does not let us see it.
[[nodiscard]] std::optional<Call> call(std::uint32_t pid, std::uint32_t tid);

/// CPU time of a thread since it began, in nanoseconds.
struct CpuTime {
    std::uint64_t ran_ns = 0;
    std::uint64_t waited_ns = 0;  ///< it could have run, and another did
    std::uint64_t times = 0;      ///< it was given a CPU
};
/// Nothing where the kernel does not count them.
[[nodiscard]] std::optional<CpuTime> cpu_time(std::uint32_t pid, std::uint32_t tid);

/// What a thread's descriptor is, as the link in /proc/<tid>/fd says: "socket:[123]", "/var/log/x".
[[nodiscard]] std::optional<std::string> descriptor(std::uint32_t tid, std::uint32_t fd);

/// A file in an epoll set.
struct EpollMember {
    std::uint32_t fd = 0;                ///< of whoever put it there, at that time
    std::uint32_t events = 0;            ///< that it is asked for, EPOLLIN and so on
    std::optional<std::uint64_t> inode;  ///< of the file; nothing before 4.13
};
/// What the epoll set behind the thread's descriptor `fd` asks for; nothing if there is none, or if
/// it has more than `most` members.
[[nodiscard]] std::optional<std::vector<EpollMember>> epoll_set(std::uint32_t tid, std::uint32_t fd,
                                                                std::size_t most);

/// The thread's kernel stack, innermost first; empty if it is not ours to see.
[[nodiscard]] std::vector<std::string> kernel_stack(std::uint32_t pid, std::uint32_t tid);

/// Some thread of the process waits in the kernel where nothing wakes it, and may hold what whoever
/// looks at the process's memory would wait for; or there are more than `most`, so that nobody
/// knows.
[[nodiscard]] bool hangs_in_kernel(std::uint32_t pid, std::size_t most);

/// The process's memory, without a stop; nothing unless all of it can be read.
[[nodiscard]] std::optional<std::vector<std::byte>> memory(std::uint32_t pid, std::uint64_t address,
                                                           std::size_t size);

}  // namespace drainwatch::proc
