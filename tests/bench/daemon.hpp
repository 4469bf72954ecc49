#pragma once

#include "support/process.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace drainwatch::bench {

/// `drainwatch watch` with the given arguments, whose output nobody looks at: it costs the bench
/// next to nothing. Is watching when constructed; ends with this.
class Daemon {
public:
    explicit Daemon(const std::vector<std::string>& arguments);
    ~Daemon();
    Daemon(const Daemon&) = delete;
    Daemon& operator=(const Daemon&) = delete;

    [[nodiscard]] pid_t pid() const { return process_->pid(); }
    void signal(int number) const { process_->signal(number); }
    /// From its call to its first line, which it prints when everything is watched.
    [[nodiscard]] std::chrono::nanoseconds start_time() const { return start_time_; }

private:
    int out_ = -1;
    std::optional<live::Process> process_;
    std::chrono::nanoseconds start_time_{};
    std::thread drain_;
};

}  // namespace drainwatch::bench
