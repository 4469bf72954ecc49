#pragma once

#include "app/cpu_marks.hpp"
#include "app/owners.hpp"
#include "app/poll_members.hpp"
#include "bpf/thread_reader.hpp"
#include "cause/diagnosis.hpp"
#include "drainwatch/source.hpp"
#include "host/symbols.hpp"
#include "host/threads.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>

namespace drainwatch {

/// Finds out what a process does instead of reading: from /proc, the kernel's list of threads and
/// the process's memory, none of which stops it or writes to it.
class CauseFinder {
public:
    /// With a source that polls, /proc has to do.
    explicit CauseFinder(Source& source);

    /// A socket waits, and a verdict may follow: its reader is followed from here on. Cheap, for
    /// each look.
    void prepare(const SocketSample& sample);

    /// Nothing if it is not known whose socket it is, if the process has ended, or if many stop at
    /// once and the time for it is used up: a tenth of a CPU, 0.1 s at once. What was found out
    /// about a thread or a process just now is not asked again for the next socket.
    [[nodiscard]] std::optional<Cause> find(const SocketSample& sample, const Owner& owner,
                                            std::uint64_t silent_ns);

private:
    struct KeptThread {
        std::uint64_t at_ns = 0;
        CauseFacts facts;
    };
    struct KeptSockets {
        std::uint64_t at_ns = 0;
        HeldSockets held;
    };

    [[nodiscard]] bool is_affordable() const;
    void spend_since(std::uint64_t began_ns);
    [[nodiscard]] std::optional<Cause> look(const SocketSample& sample, const Owner& owner,
                                            std::uint64_t silent_ns);
    [[nodiscard]] const HeldSockets& sockets_of(std::uint32_t pid);
    static void choose_thread(CauseFacts& facts, const SocketSample& sample, PollMembers& members);
    [[nodiscard]] static std::optional<proc::Thread> find_asleep(const CauseFacts& facts);
    [[nodiscard]] bool look_at_thread(CauseFacts& facts);
    void look_into_kernel(CauseFacts& facts);
    void look_at_stack(CauseFacts& facts, const proc::Call& before);
    static void look_at_wait(CauseFacts& facts, PollMembers& members, const HeldSockets& held);
    void read_files_of(std::uint32_t pid, std::uint32_t tid);

    Source& source_;
    std::unique_ptr<ThreadReader> reader_;  ///< none: it is not to be had
    std::string why_no_reader_;
    Symbols symbols_;
    CpuMarks marks_;
    std::unordered_map<std::uint32_t, KeptThread> threads_;   ///< by tid
    std::unordered_map<std::uint32_t, KeptSockets> sockets_;  ///< by pid
    std::unordered_set<std::uint32_t> files_read_;            ///< processes whose files were read
    std::uint64_t paid_until_ns_ = 0;  ///< what was spent is paid for by time that passes
};

}  // namespace drainwatch
