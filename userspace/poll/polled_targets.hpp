#pragma once

#include "drainwatch/source.hpp"
#include "host/target_processes.hpp"
#include "poll/descriptors.hpp"
#include "poll/namespace.hpp"

#include <cstdint>
#include <unordered_set>
#include <vector>

namespace drainwatch {

/// Which processes are targets, in which network namespaces they live, and what they hold.
class PolledTargets {
public:
    explicit PolledTargets(const SourceOptions& options);

    /// Fails if there are targets, and the descriptors of none can be read.
    [[nodiscard]] static Result<void> check_can_be_read(const Targets& targets);

    /// What is new about processes. Namespaces in which there is neither a target nor one of
    /// `with_sockets` are let go: an open table keeps a namespace in being.
    [[nodiscard]] std::vector<ProcessNotice> find(std::unordered_set<std::uint32_t> with_sockets);

    /// Looks up what the targets hold.
    void walk_descriptors();

    [[nodiscard]] bool are_all() const { return options_.targets.all; }
    [[nodiscard]] FollowedProcesses followed() const { return processes_.followed(); }
    /// As of the last walk.
    [[nodiscard]] const Descriptors& descriptors() const { return descriptors_; }
    [[nodiscard]] Namespaces& namespaces() { return namespaces_; }
    [[nodiscard]] const Namespaces& namespaces() const { return namespaces_; }

private:
    void follow_namespaces(std::unordered_set<std::uint32_t> needed);
    /// May its sockets be seen, and its descriptors?
    [[nodiscard]] bool can_watch(std::uint32_t pid) const;
    [[nodiscard]] std::vector<std::uint32_t> pids() const;

    SourceOptions options_;
    TargetProcesses processes_;
    SideThreads threads_;
    Namespaces namespaces_;
    Descriptors descriptors_;
};

}  // namespace drainwatch
