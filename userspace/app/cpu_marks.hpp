#pragma once

#include "bpf/thread_reader.hpp"
#include "cause/facts.hpp"
#include "host/control_group.hpp"
#include "host/threads.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

namespace drainwatch {

/// What the threads do whose sockets wait, from soon after the silence began: what a single look,
/// when the verdict is due, cannot tell.
class CpuMarks {
public:
    /// Is this thread followed already?
    [[nodiscard]] bool knows(std::uint32_t tid) const { return threads_.contains(tid); }

    /// A socket of this thread waits. For each look at one; cheap for a thread that is known.
    void note(std::uint32_t pid, std::uint32_t tid, ThreadReader* reader);

    /// Adds what is known by now: CPU time over the last second or two, less if it was noted less
    /// long ago, and the calls in which the thread was found.
    void tell(CauseFacts& facts);

private:
    using Quota = std::shared_ptr<const std::vector<proc::QuotaPeriods>>;
    /// What a thread had of CPUs until some moment.
    struct Mark {
        std::uint64_t at_ns = 0;
        proc::CpuTime time;
        Quota quota;
    };
    struct Thread {
        std::uint32_t pid = 0;
        Mark first;
        Mark older;
        Mark newer;
        std::uint64_t noted_ns = 0;
        std::uint64_t look_due_ns = 0;
        std::optional<std::uint64_t> arrived_ns;  ///< at the last look
        std::array<std::int32_t, 8> calls{};      ///< the last ones, as a ring
        std::size_t looks = 0;
    };
    struct KnownQuota {
        std::uint64_t at_ns = 0;
        Quota periods;
    };

    [[nodiscard]] std::optional<Mark> mark(std::uint32_t pid, std::uint32_t tid);
    [[nodiscard]] Quota quota_of(std::uint32_t pid);
    void begin(std::uint32_t pid, std::uint32_t tid);
    void forget_old(std::uint64_t now_ns);
    [[nodiscard]] std::optional<CpuFacts> cpu_since_mark(const Thread& thread, std::uint32_t tid);
    static void look_at_call(std::uint32_t tid, Thread& thread, ThreadReader& reader);
    [[nodiscard]] static std::optional<FrequentCall> frequent_call(const Thread& thread);

    std::unordered_map<std::uint32_t, Thread> threads_;     ///< by tid
    std::unordered_map<std::uint32_t, KnownQuota> quotas_;  ///< by pid
    std::uint64_t forgot_ns_ = 0;
};

}  // namespace drainwatch
