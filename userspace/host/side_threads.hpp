#pragma once

#include "drainwatch/result.hpp"

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

namespace drainwatch {

/// Threads for calls from which the kernel may not come back for long. They have no capabilities.
/// There are few: one, as long as every call comes back. (A process does not end before such a call
/// does, whoever makes it.)
class SideThreads {
public:
    /// What was to be run, which goes on if it is not waited for any longer.
    class Call {
    public:
        [[nodiscard]] bool has_ended() const { return ended_; }

    private:
        friend class SideThreads;
        std::atomic<bool> ended_{false};
    };

    SideThreads() = default;
    ~SideThreads();
    SideThreads(const SideThreads&) = delete;
    SideThreads& operator=(const SideThreads&) = delete;

    /// Runs `task` in one of them, and waits for its end, but for no longer than `patience`. It may
    /// outlive this object, so all that it uses must be its own. Null if no thread is to be had:
    /// the system gives none, or too many calls have not come back.
    [[nodiscard]] std::shared_ptr<const Call> run(std::function<void()> task,
                                                  std::chrono::nanoseconds patience);

private:
    struct Desk;

    [[nodiscard]] std::shared_ptr<Desk> free_desk();

    std::vector<std::shared_ptr<Desk>> desks_;
};

/// Begins a thread that nobody waits for. Fails if the system gives none.
[[nodiscard]] Result<void> begin_thread(std::function<void()> task);

/// The same for what comes to something.
template <typename Task>
[[nodiscard]] Result<std::future<std::invoke_result_t<Task>>> begin_task(Task task)
{
    const auto whole =
        std::make_shared<std::packaged_task<std::invoke_result_t<Task>()>>(std::move(task));
    if (auto begun = begin_thread([whole] { (*whole)(); }); !begun) {
        return tl::unexpected(begun.error());
    }
    return whole->get_future();
}

}  // namespace drainwatch
