#pragma once

#include "app/owners.hpp"
#include "bpf/thread_reader.hpp"
#include "cause/diagnosis.hpp"
#include "drainwatch/source.hpp"
#include "host/symbols.hpp"
#include "host/threads.hpp"
#include "host/user_stack.hpp"

#include <memory>
#include <optional>
#include <unordered_map>
#include <unordered_set>

namespace drainwatch {

/// Finds out what a process does instead of reading: from /proc, the kernel's list of threads and
/// the process's memory, none of which stops it or writes to it.
class CauseFinder {
public:
    /// With a source that polls, /proc has to do.
    explicit CauseFinder(Source& source);

    /// A socket waits, and a verdict may follow: CPU time is counted from here on. Cheap, for each
    /// look.
    void prepare(const SocketSample& sample);

    /// Nothing if it is not known whose socket it is. What was found out about a thread just now
    /// is not asked again for the next socket.
    [[nodiscard]] std::optional<Cause> find(const SocketSample& sample, const Owner& owner,
                                            std::uint64_t silent_ns);

private:
    /// A thread's CPU time at some moment.
    struct Mark {
        std::uint64_t at_ns = 0;
        proc::CpuTime time;
        std::optional<std::uint64_t> throttled_ns;
    };
    struct Marks {
        Mark older;
        Mark newer;
        std::uint64_t wanted_ns = 0;  ///< when a socket last asked for it
    };
    struct Kept {
        std::uint64_t at_ns = 0;
        CauseFacts facts;
    };

    void choose_thread(CauseFacts& facts, const SocketSample& sample, const Owner& owner) const;
    [[nodiscard]] CauseFacts look_at_thread(CauseFacts facts);
    [[nodiscard]] std::optional<std::int32_t> find_frequent_call(std::uint32_t tid);
    void look_at_stack(CauseFacts& facts, const proc::Call& before);
    void look_at_wait(CauseFacts& facts, const Owner& owner, const SocketSample& sample) const;
    void read_files_of(std::uint32_t pid, std::uint32_t tid);
    [[nodiscard]] static std::optional<Mark> mark(std::uint32_t pid, std::uint32_t tid);
    [[nodiscard]] std::optional<CpuFacts> cpu_since_mark(std::uint32_t pid,
                                                         std::uint32_t tid) const;

    Source& source_;
    std::unique_ptr<ThreadReader> reader_;  ///< none: it is not to be had
    std::string why_no_reader_;
    Symbols symbols_;
    std::unordered_map<std::uint32_t, Marks> marks_;  ///< by thread
    std::unordered_map<std::uint32_t, Kept> kept_;    ///< by thread
    std::unordered_set<std::uint32_t> files_read_;    ///< processes whose files were read
};

}  // namespace drainwatch
