#pragma once

#include "support/process.hpp"
#include "support/watcher.hpp"

#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace drainwatch::live {

/// The real executable, running `drainwatch profile --output json` on the processes of this name.
/// Is measuring when constructed.
class ProfileRun {
public:
    explicit ProfileRun(const std::string& comm, const std::vector<std::string>& more = {});
    ~ProfileRun();
    ProfileRun(const ProfileRun&) = delete;
    ProfileRun& operator=(const ProfileRun&) = delete;

    /// As Ctrl-C does; the profile, or null if it did not end with exit code 0 and one line.
    [[nodiscard]] Json stop();

    [[nodiscard]] Process& process() { return *process_; }

private:
    int out_ = -1;
    int err_ = -1;
    std::optional<Process> process_;
};

/// The share of a system call among what readers did, 0 if it is not there.
[[nodiscard]] double call_share(const Json& profile, const std::string& call);

}  // namespace drainwatch::live
