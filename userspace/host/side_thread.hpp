#pragma once

#include <chrono>
#include <functional>
#include <memory>

namespace drainwatch {

/// A thread for calls from which the kernel may not come back for long, one at a time. It has no
/// capabilities. (A process does not end before such a call does, whoever makes it.)
class SideThread {
public:
    SideThread() = default;
    ~SideThread();
    SideThread(SideThread&&) = default;
    SideThread& operator=(SideThread&&) = delete;

    /// Runs `task` there and waits for its end, but for no longer than `patience`: false if it has
    /// not ended by then. It goes on, and may outlive this object, so all that it uses must be its
    /// own. Not while is_busy().
    [[nodiscard]] bool run(std::function<void()> task, std::chrono::nanoseconds patience);

    [[nodiscard]] bool is_busy() const;

private:
    struct Desk;
    std::shared_ptr<Desk> desk_;  ///< none until there is something to do
};

}  // namespace drainwatch
