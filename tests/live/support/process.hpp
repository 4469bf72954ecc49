#pragma once

#include <sys/types.h>
#include <functional>
#include <string>
#include <vector>

namespace drainwatch::live {

/// A child of the test. It is killed at the latest when this goes out of scope, and dies with the
/// test as well.
class Process {
public:
    /// Runs `body` in a forked child.
    [[nodiscard]] static Process fork(const std::function<void()>& body);
    /// Runs a program; its stdout and stderr go to the given descriptors, -1 for /dev/null.
    [[nodiscard]] static Process spawn(const std::vector<std::string>& arguments, int out = -1,
                                       int err = -1);

    Process(Process&& other) noexcept;
    Process& operator=(Process&&) = delete;
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;
    ~Process();

    [[nodiscard]] pid_t pid() const { return pid_; }
    void signal(int number) const;
    /// It waits for something; false if it runs, or has work to do.
    [[nodiscard]] bool is_asleep() const;

    /// Waits for the end; the exit code, or 128 and the signal that ended it. -1 if it has not
    /// ended in time.
    int wait(int limit_ms = 10'000);

private:
    explicit Process(pid_t pid) : pid_(pid) {}

    pid_t pid_;
};

/// What a program printed, and how it ended.
struct Outcome {
    int code = -1;
    std::string out;
    std::string err;
};

/// The drainwatch under test: the one that was built, or the one that the environment variable
/// DRAINWATCH_EXECUTABLE names.
[[nodiscard]] std::string drainwatch_executable();

/// Runs a program to its end.
[[nodiscard]] Outcome run(const std::vector<std::string>& command);

}  // namespace drainwatch::live
