#include "cmlog/follower.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace drainwatch::cmlog {

Follower::Follower(std::string path) : path_(std::move(path))
{
    open_at(0);
    struct stat now {};
    if (file_ && fstat(file_.get(), &now) == 0) {
        offset_ = now.st_size;
    }
}

/// Not to wait for a writer, should it be a pipe.
void Follower::open_at(off_t offset)
{
    file_ = File(open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    error_ = file_ ? 0 : errno;
    struct stat opened {};
    if (!file_ || fstat(file_.get(), &opened) != 0 || !S_ISREG(opened.st_mode)) {
        file_ = File();
        return;
    }
    device_ = opened.st_dev;
    inode_ = opened.st_ino;
    offset_ = offset;
}

bool Follower::was_replaced() const
{
    struct stat named {};
    return stat(path_.c_str(), &named) == 0 && (named.st_ino != inode_ || named.st_dev != device_);
}

void Follower::end_line(std::vector<std::string>& lines)
{
    if (std::exchange(overflowed_, false)) {
        too_long_++;
        partial_.clear();
    } else {
        lines.push_back(std::exchange(partial_, {}));
    }
}

void Follower::split(const char* data, std::size_t size, std::vector<std::string>& lines)
{
    while (size > 0) {
        const auto* newline = static_cast<const char*>(std::memchr(data, '\n', size));
        const std::size_t length =
            newline != nullptr ? static_cast<std::size_t>(newline - data) : size;
        const std::size_t kept = std::min(length, kLongestLine - partial_.size());
        partial_.append(data, kept);
        overflowed_ = overflowed_ || kept < length;
        if (newline == nullptr) {
            return;
        }
        end_line(lines);
        data += length + 1;
        size -= length + 1;
    }
}

void Follower::read_on(std::vector<std::string>& lines, std::size_t& budget)
{
    struct stat now {};
    if (fstat(file_.get(), &now) == 0 && now.st_size < offset_) {
        offset_ = 0;  // truncated: what follows is new
        partial_.clear();
        overflowed_ = false;
    }
    std::array<char, 16384> buffer{};
    while (budget > 0) {
        const ssize_t length =
            pread(file_.get(), buffer.data(), std::min(buffer.size(), budget), offset_);
        if (length <= 0) {
            return;
        }
        const auto size = static_cast<std::size_t>(length);
        offset_ += length;
        budget -= size;
        split(buffer.data(), size, lines);
    }
}

std::vector<std::string> Follower::take_lines()
{
    std::vector<std::string> lines;
    std::size_t budget = kMostBytesAtOnce;
    if (file_) {
        // Asked first: what is written to the old file before it is seen to be replaced, is read.
        const bool replaced = was_replaced();
        read_on(lines, budget);
        if (!replaced || budget == 0) {
            return lines;
        }
        if (!partial_.empty()) {
            end_line(lines);
        }
    }
    open_at(0);
    if (file_) {
        read_on(lines, budget);
    }
    return lines;
}

}  // namespace drainwatch::cmlog
