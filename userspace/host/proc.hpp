#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// What /proc tells about processes. A process may end at any time: then the answer is empty.
namespace drainwatch::proc {

/// Name of the process's first thread, as `ps -o comm` shows it.
[[nodiscard]] std::optional<std::string> comm(std::uint32_t pid);

/// Its name, its parent, and whether only its exit code is left of it.
struct Identity {
    std::string comm;
    std::uint32_t parent = 0;
    bool zombie = false;
    char state = '?';      ///< of its first thread: 'R' if that runs, or could; 'S', 'D', ...
    unsigned threads = 0;  ///< how many it has
    /// Where its stack began with its last exec: a fork keeps that, the next exec moves it. 0 if it
    /// may not be known.
    std::uint64_t start_stack = 0;
};
[[nodiscard]] std::optional<Identity> identity(std::uint32_t pid);

/// The process that this thread, or process, belongs to.
[[nodiscard]] std::optional<std::uint32_t> thread_group(std::uint32_t tid);

/// The system call that the thread is in; nothing if it is in none, or runs.
[[nodiscard]] std::optional<std::int32_t> system_call(std::uint32_t tid);

/// All processes (thread group leaders).
[[nodiscard]] std::vector<std::uint32_t> pids();

/// Inode number of the socket behind a descriptor; nothing if it is no socket or is closed.
[[nodiscard]] std::optional<std::uint64_t> socket_inode(std::uint32_t pid, std::uint32_t fd);

/// A descriptor of a process, and the inode of the socket behind it.
struct SocketDescriptor {
    std::uint32_t fd = 0;
    std::uint64_t inode = 0;
};
/// All of them; nothing if the process is gone or does not let us see them.
[[nodiscard]] std::optional<std::vector<SocketDescriptor>> socket_descriptors(std::uint32_t pid);

/// May this process see that one's descriptors? True also for one that is gone.
[[nodiscard]] bool descriptors_can_be_read(std::uint32_t pid);

/// Inode number of the process's network namespace.
[[nodiscard]] std::optional<std::uint32_t> net_namespace(std::uint32_t pid);

/// "/proc/<pid>/ns/net"
[[nodiscard]] std::string net_namespace_path(std::uint32_t pid);

/// Pids here are the kernel's own: this process lives in no PID namespace but the first. True also
/// if that cannot be told.
[[nodiscard]] bool pids_are_the_kernels();

}  // namespace drainwatch::proc
