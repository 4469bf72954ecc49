#pragma once

#include "drainwatch/result.hpp"
#include "host/file.hpp"

#include <sys/types.h>
#include <chrono>
#include <cstdint>
#include <deque>
#include <string>

namespace drainwatch {

/// Lines on their way to a reader who may be slow or gone. Never blocks: what the descriptor does
/// not take now waits, up to a bound; what is beyond it is counted and left out.
class LineQueue {
public:
    static constexpr std::size_t kMostBytes = std::size_t{8} << 20;

    explicit LineQueue(int fd, std::size_t most_bytes = kMostBytes);

    void push(std::string line);

    /// Writes what goes without blocking.
    void flush();

    /// Writes until all is out, or the time is up, or the reader is gone.
    void drain(std::chrono::milliseconds limit);

    /// The same, for a command that has said all: fails if not all of it was taken.
    [[nodiscard]] Result<void> finish(std::chrono::milliseconds limit);

    [[nodiscard]] int fd() const { return fd_; }
    [[nodiscard]] bool pending() const { return !lines_.empty(); }
    /// Nothing can be written any more: the reader has gone away, or there is an error.
    [[nodiscard]] bool broken() const { return broken_; }
    /// The error, unless it is that the reader has gone away, as `head` does, or a terminal.
    [[nodiscard]] Result<void> status() const;
    [[nodiscard]] std::uint64_t left_out() const { return left_out_; }

private:
    [[nodiscard]] ssize_t write_some(const std::string& text) const;

    int fd_;
    std::size_t most_bytes_;
    /// A pipe or terminal, opened anew not to block: O_NONBLOCK on fd_ itself would be seen by
    /// everyone who shares it.
    File own_;
    std::deque<std::string> lines_;
    std::size_t bytes_ = 0;
    std::uint64_t left_out_ = 0;
    bool broken_ = false;
    int errno_ = 0;  ///< why it is broken
};

}  // namespace drainwatch
