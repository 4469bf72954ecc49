#pragma once

#include "cause/thread_view.hpp"
#include "drainwatch/result.hpp"

#include <cstdint>
#include <memory>
#include <optional>

struct cause_bpf;

namespace drainwatch {

/// Looks at threads through the kernel's list of them (bpf/cause.bpf.c). Nothing is attached
/// between looks.
class ThreadReader {
public:
    [[nodiscard]] static Result<std::unique_ptr<ThreadReader>> open();
    ~ThreadReader();
    ThreadReader(const ThreadReader&) = delete;
    ThreadReader& operator=(const ThreadReader&) = delete;

    /// Nothing if there is no such thread.
    [[nodiscard]] std::optional<KernelView> look(std::uint32_t tid);

private:
    struct SkeletonDeleter {
        void operator()(cause_bpf* skeleton) const;
    };
    using Skeleton = std::unique_ptr<cause_bpf, SkeletonDeleter>;

    explicit ThreadReader(Skeleton skeleton);

    Skeleton skeleton_;
};

}  // namespace drainwatch
