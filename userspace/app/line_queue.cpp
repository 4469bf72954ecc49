#include "app/line_queue.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <climits>

namespace drainwatch {

LineQueue::LineQueue(int fd, std::size_t most_bytes) : fd_(fd), most_bytes_(most_bytes)
{
    struct stat status {};
    if (fstat(fd, &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode))) {
        own_ = File(open(fmt::format("/proc/self/fd/{}", fd).c_str(),
                         O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    }
}

ssize_t LineQueue::write_some(const std::string& text) const
{
    if (own_) {
        return write(own_.get(), text.data(), text.size());
    }
    const ssize_t sent = send(fd_, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0 || errno != ENOTSOCK) {
        return sent;
    }
    // A file; or a pipe of which we may not have our own, and that takes PIPE_BUF bytes at least.
    return write(fd_, text.data(), std::min<std::size_t>(text.size(), PIPE_BUF));
}

void LineQueue::push(std::string line)
{
    if (broken_) {
        return;
    }
    line += '\n';
    if (bytes_ + line.size() > most_bytes_) {
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
        std::string& line = lines_.front();
        const ssize_t written = write_some(line);
        if (written < 0) {
            if (errno == EINTR || errno == EAGAIN) {
                return;
            }
            broken_ = true;
            errno_ = errno;
            return;
        }
        bytes_ -= static_cast<std::size_t>(written);
        line.erase(0, static_cast<std::size_t>(written));
        if (line.empty()) {
            lines_.pop_front();
        }
    }
}

Result<void> LineQueue::status() const
{
    const bool has_gone = errno_ == EPIPE || errno_ == ECONNRESET || (errno_ == EIO && own_);
    if (!broken_ || has_gone) {
        return {};
    }
    return fail(system_error("write", "the output", errno_).message +
                "; what follows is lost: make room, or write elsewhere, and start again");
}

Result<void> LineQueue::finish(std::chrono::milliseconds limit)
{
    drain(limit);
    if (!broken_ && (pending() || left_out_ != 0)) {
        return fail("whoever reads the output does not take all of it: write it to a file");
    }
    return status();
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
