#pragma once

#include "cause/thread_view.hpp"
#include "drainwatch/result.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

struct cause_bpf;
union bpf_iter_link_info;

namespace drainwatch {

/// Looks at threads through the kernel's list of them (bpf/cause.bpf.c). Nothing is attached
/// between looks.
class ThreadReader {
public:
    [[nodiscard]] static Result<std::unique_ptr<ThreadReader>> open();
    ~ThreadReader();
    ThreadReader(const ThreadReader&) = delete;
    ThreadReader& operator=(const ThreadReader&) = delete;

    /// Nothing if the process has no such thread.
    [[nodiscard]] std::optional<KernelView> look(std::uint32_t pid, std::uint32_t tid);

    /// Some thread of the process, which has so many, waits in the kernel where nothing wakes it.
    /// Nothing if not all of them were found: the walk ends where a thread ends.
    [[nodiscard]] std::optional<bool> any_hangs(std::uint32_t pid, std::size_t threads);

private:
    struct SkeletonDeleter {
        void operator()(cause_bpf* skeleton) const;
    };
    using Skeleton = std::unique_ptr<cause_bpf, SkeletonDeleter>;

    explicit ThreadReader(Skeleton skeleton);

    [[nodiscard]] std::optional<std::vector<std::byte>> run(bpf_iter_link_info* limits);

    Skeleton skeleton_;
    bool finds_by_tid_ = true;  ///< without a walk through all threads
    bool finds_by_pid_ = true;
};

}  // namespace drainwatch
