#pragma once

#include "host/file.hpp"

#include <sys/types.h>
#include <cstdint>
#include <string>
#include <vector>

namespace drainwatch::cmlog {

/// Reads what is added to a file, line by line, as `tail -F` does: through rotation (another file
/// takes the name) and truncation, and from its beginning if it appears later. What is in it at the
/// start is history, and not read. Read-only, and bounded in memory and in what one call reads.
class Follower {
public:
    explicit Follower(std::string path);

    /// Whole lines that were added since the call before, without their ends. The end of a file
    /// that was rotated away is a line, whole or not.
    [[nodiscard]] std::vector<std::string> take_lines();

    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] bool is_open() const { return static_cast<bool>(file_); }
    /// Why it is not: an errno; 0 for what is no file, such as a directory.
    [[nodiscard]] int error() const { return error_; }
    /// Lines of which only a part was kept, and that are not returned: longer than kLongestLine.
    [[nodiscard]] std::uint64_t too_long() const { return too_long_; }

    static constexpr std::size_t kLongestLine = 4096;
    static constexpr std::size_t kMostBytesAtOnce = 1 << 20;

private:
    void open_at(off_t offset);
    [[nodiscard]] bool was_replaced() const;
    void read_on(std::vector<std::string>& lines, std::size_t& budget);
    void split(const char* data, std::size_t size, std::vector<std::string>& lines);
    void end_line(std::vector<std::string>& lines);

    std::string path_;
    File file_;
    int error_ = 0;
    dev_t device_ = 0;
    ino_t inode_ = 0;
    off_t offset_ = 0;
    std::string partial_;      ///< of a line that has no end yet
    bool overflowed_ = false;  ///< that one is too long
    std::uint64_t too_long_ = 0;
};

}  // namespace drainwatch::cmlog
