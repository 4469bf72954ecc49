#pragma once

#include "drainwatch/source.hpp"
#include "host/proc.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace drainwatch {

/// The processes that are watched, by name, by pid and by descent: which of them live, and what is
/// new. A child of a target is one until it runs another program.
class TargetProcesses {
public:
    /// `children`: of targets, known from before.
    explicit TargetProcesses(const Targets& targets,
                             const std::vector<std::uint32_t>& children = {});

    /// An event about a process. Returns what is to be told of it: an exec, for one, may be told
    /// twice, and what changes nothing is not passed on.
    [[nodiscard]] std::optional<ProcessNotice> note(const ProcessNotice& notice);

    /// Looks in /proc for those that ended and for pids that appeared.
    [[nodiscard]] std::vector<ProcessNotice> scan();

    /// Looks at every process of the host for the names, and for children of targets.
    [[nodiscard]] std::vector<ProcessNotice> scan_all();

    /// Where no event tells of it: targets that go by another name, or run another program.
    [[nodiscard]] std::vector<ProcessNotice> scan_changes();

    [[nodiscard]] bool has_name(const std::string& comm) const;
    [[nodiscard]] bool is_child(std::uint32_t pid) const { return children_.contains(pid); }

    /// Those that their name need not lead to, as of now.
    [[nodiscard]] FollowedProcesses followed() const;

    /// Name by pid.
    [[nodiscard]] const std::unordered_map<std::uint32_t, std::string>& living() const
    {
        return living_;
    }

private:
    [[nodiscard]] bool is_child_of_target(const proc::Identity& process) const;
    [[nodiscard]] bool still_is_child(std::uint32_t pid, const proc::Identity& process) const;
    void forget(std::uint32_t pid);

    std::vector<std::string> names_;
    std::vector<std::uint32_t> awaited_;  ///< pids that have not appeared yet
    std::set<std::uint32_t> by_pid_;      ///< named by pid, and alive: whatever their name
    /// Their Identity::start_stack, as they became targets; 0 if it was not known.
    std::map<std::uint32_t, std::uint64_t> children_;
    std::unordered_map<std::uint32_t, std::string> living_;
    bool has_looked_ = false;
};

}  // namespace drainwatch
