#pragma once

#include "app/cpu_marks.hpp"
#include "app/owners.hpp"
#include "app/poll_members.hpp"
#include "bpf/thread_reader.hpp"
#include "cause/diagnosis.hpp"
#include "drainwatch/result.hpp"
#include "drainwatch/source.hpp"
#include "host/symbols.hpp"
#include "host/threads.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace drainwatch {

/// Finds out what a process does instead of reading: from /proc, the kernel's list of threads and
/// the process's memory, none of which stops it or writes to it.
class CauseFinder {
public:
    /// With a source that polls, /proc has to do. `sees_all_sockets`: of a process; not only those
    /// of some ports. `cpu_budget`: of a CPU, for all that drainwatch does; 0: no limit.
    CauseFinder(Source& source, bool sees_all_sockets, double cpu_budget);

    /// A socket waits, and a verdict may follow: its reader is followed from here on. Cheap, for
    /// each look: all of it takes a 300th of a CPU, 50 ms at once.
    void prepare(const SocketSample& sample);

    /// Why there is none: it is not known whose socket it is, the process has ended, or many stop
    /// at once and the time for it is used up: no search begins when they have taken the budget, or
    /// a tenth of a CPU where that is less, 20 ms at once. What was found out about a thread or a
    /// process just now is not asked again for the next socket.
    [[nodiscard]] Result<Cause> find(const SocketSample& sample, const Owner& owner,
                                     std::uint64_t silent_ns);

private:
    /// What was spent is paid for by time that passes.
    class Allowance {
    public:
        /// When it began.
        struct Search {
            std::uint64_t began_ns;
            std::uint64_t began_cpu_ns;
        };
        /// One part of so many of a CPU, and so much at once.
        Allowance(std::uint64_t part, std::uint64_t at_once_ns)
            : part_(part), at_once_ns_(at_once_ns)
        {}
        [[nodiscard]] bool is_left() const;
        [[nodiscard]] static Search begin();
        void spend(const Search& search);

    private:
        std::uint64_t part_;
        std::uint64_t at_once_ns_;
        std::uint64_t paid_until_ns_ = 0;
    };
    /// As it was a moment ago.
    struct KeptProcess {
        std::uint32_t pid = 0;
        std::uint64_t at_ns = 0;
        std::uint32_t threads = 0;
        bool hangs_in_kernel = false;  ///< one of them may
    };
    struct KeptThread {
        std::uint64_t at_ns = 0;
        CauseFacts facts;
    };
    struct KeptSockets {
        std::uint64_t at_ns = 0;
        HeldSockets held;
    };

    [[nodiscard]] Result<Cause> look(const SocketSample& sample, const Owner& owner,
                                     std::uint64_t silent_ns);
    [[nodiscard]] const HeldSockets& sockets_of(std::uint32_t pid);
    [[nodiscard]] const KeptProcess* look_at_process(std::uint32_t pid);
    [[nodiscard]] bool hangs_in_kernel(std::uint32_t pid, std::uint32_t threads) const;
    static void choose_thread(CauseFacts& facts, const SocketSample& sample, PollMembers& members);
    [[nodiscard]] static std::optional<proc::Thread> find_asleep(const CauseFacts& facts);
    [[nodiscard]] static std::optional<proc::Call> call_of(const CauseFacts& facts);
    [[nodiscard]] bool look_at_thread(CauseFacts& facts);
    void look_into_kernel(CauseFacts& facts);
    void look_at_stack(CauseFacts& facts, const proc::Call& before);
    static void look_at_descriptor(CauseFacts& facts, const HeldSockets& held);
    static void look_at_poll(CauseFacts& facts, PollMembers& members);
    void read_files_of(std::uint32_t pid, std::uint32_t tid);

    Source& source_;
    bool sees_all_sockets_;
    std::unique_ptr<ThreadReader> reader_;  ///< none: it is not to be had
    std::string why_no_reader_;
    Symbols symbols_;
    CpuMarks marks_;
    std::optional<KeptProcess> process_;                      ///< the last one
    std::unordered_map<std::uint32_t, KeptThread> threads_;   ///< by tid
    std::unordered_map<std::uint32_t, KeptSockets> sockets_;  ///< by pid
    std::unordered_set<std::uint32_t> files_read_;            ///< processes whose files were read
    std::optional<std::pair<std::uint32_t, std::uint32_t>> files_due_;  ///< pid and tid of one more
    Allowance following_;
    Allowance finding_;
};

}  // namespace drainwatch
