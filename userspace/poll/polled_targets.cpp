#include "poll/polled_targets.hpp"

#include "host/proc.hpp"

#include <fmt/format.h>
#include <unistd.h>
#include <algorithm>
#include <optional>
#include <utility>

namespace drainwatch {
namespace {

/// Inode number of the process's network namespace; 0 on a kernel built without any.
std::optional<std::uint32_t> namespace_of(std::uint32_t pid)
{
    const auto netns = proc::net_namespace(pid);
    const bool has_none = !proc::net_namespace(static_cast<std::uint32_t>(getpid()));
    return !netns && has_none ? 0 : netns;
}

}  // namespace

/// A target whose descriptors are hidden from us could only be guessed at.
Result<void> PolledTargets::check_can_be_read(const Targets& targets)
{
    TargetProcesses processes(targets);
    auto found = processes.scan();
    const auto named = processes.scan_all();
    found.insert(found.end(), named.begin(), named.end());
    const auto readable = [](const ProcessNotice& process) {
        return proc::descriptors_can_be_read(process.pid);
    };
    if (found.empty() || std::any_of(found.begin(), found.end(), readable)) {
        return {};
    }
    return fail(
        fmt::format("the descriptors of process {} cannot be read: run this as root, or as the "
                    "user of that process",
                    found.front().pid));
}

PolledTargets::PolledTargets(const SourceOptions& options)
    : options_(options), processes_(options.targets, options.children)
{}

std::vector<std::uint32_t> PolledTargets::pids() const
{
    if (options_.targets.all) {
        return proc::pids();
    }
    std::vector<std::uint32_t> pids;
    for (const auto& [pid, comm] : processes_.living()) {
        pids.push_back(pid);
    }
    return pids;
}

std::vector<ProcessNotice> PolledTargets::find(std::unordered_set<std::uint32_t> with_sockets)
{
    auto notices = processes_.scan();
    if (!options_.targets.all) {
        for (const auto& more : {processes_.scan_changes(), processes_.scan_all()}) {
            notices.insert(notices.end(), more.begin(), more.end());
        }
    }
    follow_namespaces(std::move(with_sockets));
    for (ProcessNotice& notice : notices) {
        if (notice.kind != ProcessNotice::Kind::ended) {
            notice.target = notice.target && can_watch(notice.pid);
        }
    }
    return notices;
}

bool PolledTargets::can_watch(std::uint32_t pid) const
{
    const auto netns = namespace_of(pid);
    return netns && namespaces_.contains(*netns) && proc::descriptors_can_be_read(pid);
}

void PolledTargets::follow_namespaces(std::unordered_set<std::uint32_t> needed)
{
    for (const std::uint32_t pid : pids()) {
        const auto netns = namespace_of(pid);
        if (!netns) {
            continue;
        }
        needed.insert(*netns);
        if (!namespaces_.contains(*netns)) {
            if (auto opened = open_namespace(pid, options_.without, threads_)) {
                namespaces_.emplace(*netns, std::move(*opened));
            }
        }
    }
    std::erase_if(namespaces_, [&](const auto& entry) { return !needed.contains(entry.first); });
}

void PolledTargets::walk_descriptors()
{
    descriptors_.walk(pids());
}

}  // namespace drainwatch
