#pragma once

#include "drainwatch/source.hpp"

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace drainwatch {

/// The processes that are watched, by name and by pid: which of them live, and what is new.
class TargetProcesses {
public:
    explicit TargetProcesses(const Targets& targets);

    /// An event about a process. Returns what is to be told of it: an exec, for one, may be told
    /// twice, and what changes nothing is not passed on.
    [[nodiscard]] std::optional<ProcessNotice> note(const ProcessNotice& notice);

    /// Looks in /proc for those that ended and for pids that appeared.
    [[nodiscard]] std::vector<ProcessNotice> scan();

    /// Looks at every process of the host for the names.
    [[nodiscard]] std::vector<ProcessNotice> scan_names();

    /// Likewise, where no event tells of them, for children of targets and for changed names.
    [[nodiscard]] std::vector<ProcessNotice> scan_families();

    [[nodiscard]] bool has_name(const std::string& comm) const;

    /// Those that their name does not lead to: waited for by their pid, named by it, or descended
    /// from a target.
    [[nodiscard]] std::vector<std::uint32_t> not_by_name() const;

    /// Name by pid.
    [[nodiscard]] const std::unordered_map<std::uint32_t, std::string>& living() const
    {
        return living_;
    }

private:
    [[nodiscard]] ProcessNotice appeared(std::uint32_t pid, const std::string& comm);

    std::vector<std::string> names_;
    std::vector<std::uint32_t> awaited_;  ///< pids that have not appeared yet
    std::set<std::uint32_t> kept_;        ///< named by pid or by descent: whatever their name
    std::unordered_map<std::uint32_t, std::string> living_;
};

}  // namespace drainwatch
