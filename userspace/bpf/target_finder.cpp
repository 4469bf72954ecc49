#include "bpf/target_finder.hpp"

#include "bpf/programs.hpp"
#include "drainwatch.skel.h"
#include "host/proc.hpp"

#include <bpf/bpf.h>
#include <unistd.h>
#include <algorithm>
#include <iterator>
#include <utility>

namespace drainwatch {
namespace {

/// With more targets than this, one walk over all processes is cheaper than one for each.
constexpr std::size_t kWalksByPid = 16;

/// A connection that is just being born as its listener is first seen is in the queue at the next
/// look. Who comes later is told of by events.
constexpr unsigned kLooksForWaiting = 2;

void fill(std::vector<Holder>& holders, const std::vector<dw_descriptor>& descriptors)
{
    holders.resize(descriptors.size());
    std::transform(descriptors.begin(), descriptors.end(), holders.begin(),
                   [](const dw_descriptor& d) {
                       return Holder{Cookie{d.cookie}, d.inode, d.tgid, d.fd};
                   });
}

}  // namespace

TargetFinder::TargetFinder(Targets targets, drainwatch_bpf& skeleton)
    : targets_(std::move(targets)),
      skeleton_(skeleton),
      by_address_(remembers_by_address(skeleton)),
      processes_(targets_),
      own_namespace_(proc::net_namespace(static_cast<std::uint32_t>(getpid())).value_or(0)),
      connections_(skeleton)
{
    add_by_pid();
}

void TargetFinder::follow(const FollowedProcesses& followed)
{
    targets_.pids = followed.by_pid;
    processes_ = TargetProcesses(targets_, followed.children);
    add_by_pid();
    for (const auto& [pid, comm] : processes_.living()) {
        add_target(pid, target_flags(pid, comm));
    }
}

void TargetFinder::forget()
{
    processes_ = TargetProcesses(targets_);
    scanned_ = false;
    listeners_.clear();
    connections_.forget();
    to_look_through_.clear();
}

/// They may appear between two looks.
void TargetFinder::add_by_pid()
{
    for (const std::uint32_t pid : targets_.pids) {
        add_target(pid, DW_TARGET_BY_PID);
    }
}

void TargetFinder::add_target(std::uint32_t pid, std::uint32_t flags)
{
    bpf_map_update_elem(bpf_map__fd(skeleton_.maps.targets), &pid, &flags, BPF_ANY);
}

void TargetFinder::forget_target(std::uint32_t pid)
{
    bpf_map_delete_elem(bpf_map__fd(skeleton_.maps.targets), &pid);
}

std::uint32_t TargetFinder::target_flags(std::uint32_t pid, const std::string& comm) const
{
    const auto& pids = targets_.pids;
    const bool by_pid = std::find(pids.begin(), pids.end(), pid) != pids.end();
    return (by_pid ? DW_TARGET_BY_PID : 0) | (processes_.has_name(comm) ? DW_TARGET_BY_NAME : 0) |
           (processes_.is_child(pid) ? DW_TARGET_BY_FORK : 0);
}

/// What a look has found, and no event has told of.
void TargetFinder::tell_kernel(const ProcessNotice& notice)
{
    if (notice.kind == ProcessNotice::Kind::ended || !notice.target) {
        forget_target(notice.pid);
    } else {
        add_target(notice.pid, target_flags(notice.pid, notice.comm));
    }
}

/// What becomes a target later is seen by events in every namespace. Those that were there before
/// may hand a listener on that has connections waiting; and every full look may be one by
/// namespace.
bool TargetFinder::enters_namespaces() const
{
    const auto& living = processes_.living();
    return by_address_ || std::any_of(living.begin(), living.end(), [&](const auto& process) {
               const auto netns = proc::net_namespace(process.first);
               return netns && *netns != own_namespace_;
           });
}

Result<void> TargetFinder::walk_descriptors()
{
    const auto& living = processes_.living();
    if (living.empty()) {
        descriptors_.clear();
        return {};
    }
    std::vector<std::uint32_t> pids;
    if (living.size() <= kWalksByPid) {
        std::transform(living.begin(), living.end(), std::back_inserter(pids),
                       [](const auto& process) { return process.first; });
    }
    return find_descriptors(skeleton_, pids, descriptors_);
}

std::set<std::uint32_t> TargetFinder::pids() const
{
    std::set<std::uint32_t> pids;
    for (const auto& [pid, comm] : processes_.living()) {
        pids.insert(pid);
    }
    for (const Holder& holder : holders_) {
        pids.insert(holder.pid);
    }
    return pids;
}

void TargetFinder::refresh_holders()
{
    const auto walked =
        targets_.all ? find_all_holders(skeleton_, descriptors_) : walk_descriptors();
    looks_failed_ += walked ? 0 : 1;
    fill(holders_, descriptors_);
}

std::vector<Holder> TargetFinder::all_holders()
{
    std::vector<dw_descriptor> descriptors;
    std::vector<Holder> holders;
    looks_failed_ += find_all_holders(skeleton_, descriptors) ? 0 : 1;
    fill(holders, descriptors);
    return holders;
}

void TargetFinder::look_through(const std::set<std::uint32_t>& namespaces)
{
    for (const std::uint32_t netns : namespaces) {
        const auto path = netns == own_namespace_ ? "" : net_namespaces_.path(netns);
        // The process may have ended with its namespace: then there is nothing to find.
        const bool is_there = path.has_value();
        const bool seen = is_there && connections_.find(*path);
        if (seen) {
            looked_through_.insert(netns);
        } else {
            looked_through_.erase(netns);
        }
        if (is_there && !seen) {
            looks_failed_++;
            to_look_through_.insert(netns);
        }
    }
}

/// Connections that no event told of: a listener that is new may have some in its queue from
/// before; and by address, a connection gets its slot in this look.
void TargetFinder::find_waiting_connections()
{
    std::set<std::uint32_t> namespaces = std::exchange(to_look_through_, {});
    std::map<std::uint64_t, unsigned> listeners;
    bool without_slot = false;
    for (const dw_descriptor& d : descriptors_) {
        if (d.listener) {
            const auto known = listeners_.find(d.inode);
            const unsigned looks = known != listeners_.end() ? known->second : 0;
            listeners[d.inode] = looks + 1;
            // By address, every later full look comes to what was looked through once.
            if (by_address_ ? looks == 0 : d.waiting && looks < kLooksForWaiting) {
                namespaces.insert(d.netns);
            }
        } else if (d.slot == DW_NO_SLOT && by_address_) {
            namespaces.insert(d.netns);
            without_slot = true;
        }
    }
    listeners_ = std::move(listeners);
    if (targets_.all && !scanned_) {
        // later ones are seen as they are established
        for (const std::uint32_t pid : proc::pids()) {
            if (const auto netns = proc::net_namespace(pid)) {
                namespaces.insert(*netns);
            }
        }
    }
    look_through(namespaces);
    // Those by address have an identity now. With --all, what a walk has not come to is watched by
    // who holds it.
    if (without_slot || (targets_.all && !to_look_through_.empty())) {
        refresh_holders();
    }
}

std::vector<ProcessNotice> TargetFinder::find(Told told)
{
    auto notices = processes_.scan();
    const auto add = [&](const std::vector<ProcessNotice>& more) {
        notices.insert(notices.end(), more.begin(), more.end());
    };
    // Before the first look, events did not tell all of those that were known.
    if (!targets_.all && (told == Told::nothing || !scanned_)) {
        add(processes_.scan_changes());
    }
    if (!targets_.all && (told != Told::all || !scanned_)) {
        add(processes_.scan_all());
    }
    for (const ProcessNotice& notice : notices) {
        tell_kernel(notice);
    }
    if (!targets_.all) {
        refresh_holders();
    }
    find_waiting_connections();
    scanned_ = true;
    return notices;
}

void TargetFinder::look_through_again(std::set<std::uint32_t> namespaces)
{
    namespaces.insert(looked_through_.begin(), looked_through_.end());
    look_through(namespaces);
}

}  // namespace drainwatch
