#include "app/line_queue.hpp"

#include <poll.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <climits>

namespace drainwatch {
namespace {

constexpr std::size_t kMostBytes = std::size_t{8} << 20;

}  // namespace

void LineQueue::push(std::string line)
{
    if (broken_) {
        return;
    }
    line += '\n';
    if (bytes_ + line.size() > kMostBytes) {
        left_out_++;
        return;
    }
    bytes_ += line.size();
    lines_.push_back(std::move(line));
    flush();
}

void LineQueue::flush()
{
    while (!lines_.empty() && !broken_) {
        pollfd ready{fd_, POLLOUT, 0};
        if (poll(&ready, 1, 0) <= 0 || !(ready.revents & (POLLOUT | POLLERR | POLLHUP))) {
            return;
        }
        // A pipe that polls as writable takes PIPE_BUF bytes without blocking.
        std::string& line = lines_.front();
        const std::size_t length = std::min<std::size_t>(line.size(), PIPE_BUF);
        const ssize_t written = write(fd_, line.data(), length);
        if (written < 0) {
            if (errno == EINTR || errno == EAGAIN) {
                return;
            }
            broken_ = true;
            return;
        }
        bytes_ -= static_cast<std::size_t>(written);
        line.erase(0, static_cast<std::size_t>(written));
        if (line.empty()) {
            lines_.pop_front();
        }
    }
}

void LineQueue::drain(std::chrono::milliseconds limit)
{
    const auto until = std::chrono::steady_clock::now() + limit;
    flush();
    while (pending() && !broken_) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            until - std::chrono::steady_clock::now());
        if (left.count() <= 0) {
            return;
        }
        pollfd ready{fd_, POLLOUT, 0};
        poll(&ready, 1, static_cast<int>(left.count()));
        flush();
    }
}

}  // namespace drainwatch
