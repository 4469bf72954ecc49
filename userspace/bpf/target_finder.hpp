#pragma once

#include "bpf/iterators.hpp"
#include "drainwatch/abi.h"
#include "drainwatch/source.hpp"
#include "host/net_namespaces.hpp"
#include "host/target_processes.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

struct drainwatch_bpf;

namespace drainwatch {

/// What events have told of new processes, and of new names.
enum class Told { all, not_all, nothing };

/// The full look for targets: which processes they are, which of their sockets no event told of,
/// and who holds which watched socket. Tells the kernel side by its maps and iterators.
class TargetFinder {
public:
    /// `skeleton`: loaded.
    TargetFinder(Targets targets, drainwatch_bpf& skeleton);

    /// What an event said of a process. Returns what is to be told of it.
    [[nodiscard]] std::optional<ProcessNotice> note(const ProcessNotice& notice)
    {
        return processes_.note(notice);
    }

    /// The look itself. `told`: by events, since the last one. Returns what is new about processes.
    [[nodiscard]] std::vector<ProcessNotice> find(Told told);
    /// By address: the counters of every socket in these network
    /// namespaces, and in those that were looked through before, are taken again.
    void look_through_again(std::set<std::uint32_t> namespaces);

    /// Nothing of what was found holds any more.
    void forget();
    /// In place of the processes that were asked for by pid, these.
    void follow(const FollowedProcesses& followed);
    [[nodiscard]] FollowedProcesses followed() const { return processes_.followed(); }
    /// Processes that are targets, or held a watched socket at the last look.
    [[nodiscard]] std::set<std::uint32_t> pids() const;

    [[nodiscard]] bool enters_namespaces() const;

    [[nodiscard]] const std::vector<Holder>& holders() const { return holders_; }
    /// Of the same look.
    [[nodiscard]] const std::vector<dw_descriptor>& descriptors() const { return descriptors_; }
    void refresh_holders();
    [[nodiscard]] std::vector<Holder> all_holders();

    /// Looks that the kernel did not answer, since the start.
    [[nodiscard]] std::uint64_t looks_failed() const { return looks_failed_; }

private:
    void add_by_pid();
    void add_target(std::uint32_t pid, std::uint32_t flags);
    void forget_target(std::uint32_t pid);
    void tell_kernel(const ProcessNotice& notice);
    [[nodiscard]] std::uint32_t target_flags(std::uint32_t pid, const std::string& comm) const;
    [[nodiscard]] Result<void> walk_descriptors();
    void look_through(const std::set<std::uint32_t>& namespaces);
    void find_waiting_connections();

    Targets targets_;
    drainwatch_bpf& skeleton_;
    bool by_address_;       ///< how the kernel side remembers sockets
    bool scanned_ = false;  ///< there was a look before
    TargetProcesses processes_;
    std::vector<dw_descriptor> descriptors_;  ///< as of the last look
    std::vector<Holder> holders_;             ///< the same
    std::uint64_t looks_failed_ = 0;
    /// By inode: those that were there at the last look; how many looks have seen them.
    std::map<std::uint64_t, unsigned> listeners_;
    std::uint32_t own_namespace_;
    NetNamespaces net_namespaces_;
    ConnectionFinder connections_;
    std::set<std::uint32_t> looked_through_;   ///< namespaces
    std::set<std::uint32_t> to_look_through_;  ///< those for which it failed
};

}  // namespace drainwatch
