#pragma once

#include "support/process.hpp"

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace drainwatch::bench {

/// A line that a program printed, and when it was read from the pipe.
struct TimedLine {
    std::uint64_t read_ns = 0;  ///< CLOCK_REALTIME
    std::string text;
};

/// Another program, whose lines are read all the time. It is told to end with this.
class Tool {
public:
    explicit Tool(const std::vector<std::string>& command);
    ~Tool();
    Tool(const Tool&) = delete;
    Tool& operator=(const Tool&) = delete;

    [[nodiscard]] pid_t pid() const { return process_->pid(); }
    [[nodiscard]] std::vector<TimedLine> lines() const;

private:
    void read_lines();

    int out_ = -1;
    std::optional<live::Process> process_;
    mutable std::mutex mutex_;
    std::vector<TimedLine> lines_;
    std::thread reader_;
};

}  // namespace drainwatch::bench
