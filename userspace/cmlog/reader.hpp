#pragma once

#include "cmlog/follower.hpp"
#include "cmlog/line.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace drainwatch::cmlog {

/// A process error as it was logged.
struct Logged {
    std::string path;
    std::uint64_t at_ns = 0;  ///< CLOCK_REALTIME, to a millisecond
    Process process;
    std::string level;
    ProcessError error;
};

/// What was added to some logs.
class Reader {
public:
    Reader(const std::vector<std::string>& paths, TimeZone zone);

    /// Process errors that were added since the call before, log by log. `now_ns`: CLOCK_REALTIME.
    [[nodiscard]] std::vector<Logged> take(std::uint64_t now_ns);

    /// Lines that are none of such a log, or whose time is none.
    [[nodiscard]] std::uint64_t unreadable() const;
    /// Files that are not read now.
    struct Unopened {
        std::string path;
        int error = 0;  ///< errno; 0: it is no file
    };
    [[nodiscard]] std::vector<Unopened> unopened() const;

private:
    std::vector<Follower> logs_;
    TimeZone zone_;
    std::uint64_t unreadable_ = 0;
};

}  // namespace drainwatch::cmlog
