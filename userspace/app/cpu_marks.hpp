#pragma once

#include "bpf/thread_reader.hpp"
#include "cause/facts.hpp"
#include "host/pace.hpp"
#include "host/threads.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>

namespace drainwatch {

/// What the threads do whose sockets wait, from soon after the silence began: what a single look,
/// when the verdict is due, cannot tell.
class CpuMarks {
public:
    /// A socket of this thread waits. For each look at one; cheap. True if the thread is a new one.
    bool note(std::uint32_t pid, std::uint32_t tid, ThreadReader* reader);

    /// CPU time over the last second or two, less if it was noted less long ago; nothing if that is
    /// too short to say anything.
    [[nodiscard]] std::optional<CpuFacts> cpu_of(std::uint32_t pid, std::uint32_t tid) const;

    /// The system call in which most of the last looks found the thread, running.
    [[nodiscard]] std::optional<std::int32_t> frequent_call(std::uint32_t tid) const;

private:
    /// A thread's CPU time at some moment.
    struct Mark {
        std::uint64_t at_ns = 0;
        proc::CpuTime time;
        std::optional<std::uint64_t> throttled_ns;
    };
    struct Thread {
        Mark first;
        Mark older;
        Mark newer;
        std::uint64_t noted_ns = 0;
        std::array<std::int32_t, 8> calls{};  ///< the last ones, as a ring
        std::size_t looks = 0;
    };

    [[nodiscard]] static std::optional<Mark> mark(std::uint32_t pid, std::uint32_t tid);
    void look_at_call(std::uint32_t tid, Thread& thread, ThreadReader& reader);

    std::unordered_map<std::uint32_t, Thread> threads_;
    /// A spinning thread must be seen at different moments: a tick of the kernel's clock apart.
    Pace looking_at_calls_{10'000'000, 100};
};

}  // namespace drainwatch
