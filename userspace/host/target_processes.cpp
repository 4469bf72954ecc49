#include "host/target_processes.hpp"

#include <algorithm>
#include <utility>

namespace drainwatch {
namespace {

/// Where one is not known, as when the first thread has ended, nothing speaks against it.
bool may_run_the_same(std::uint64_t a_start_stack, std::uint64_t b_start_stack)
{
    return a_start_stack == 0 || b_start_stack == 0 || a_start_stack == b_start_stack;
}

}  // namespace

TargetProcesses::TargetProcesses(const Targets& targets, const std::vector<std::uint32_t>& children)
    : names_(targets.names), awaited_(targets.pids)
{
    for (const std::uint32_t pid : children) {
        const auto process = proc::identity(pid);
        if (process && !process->zombie) {
            children_[pid] = process->start_stack;
            living_[pid] = process->comm;
        }
    }
}

bool TargetProcesses::has_name(const std::string& comm) const
{
    return std::find(names_.begin(), names_.end(), comm) != names_.end();
}

void TargetProcesses::forget(std::uint32_t pid)
{
    by_pid_.erase(pid);
    children_.erase(pid);
    living_.erase(pid);
}

std::optional<ProcessNotice> TargetProcesses::note(const ProcessNotice& notice)
{
    const auto known = living_.find(notice.pid);
    ProcessNotice told = notice;
    if (notice.kind == ProcessNotice::Kind::ended || !notice.target) {
        if (known == living_.end()) {
            return std::nullopt;
        }
        forget(notice.pid);
        return told;
    }
    if (notice.kind == ProcessNotice::Kind::forked) {
        // The child may have run another program since.
        const auto parent = proc::identity(notice.parent);
        children_[notice.pid] = parent ? parent->start_stack : 0;
    }
    if (known == living_.end()) {
        if (notice.kind == ProcessNotice::Kind::renamed) {
            told.kind = ProcessNotice::Kind::appeared;
        }
    } else if (known->second == notice.comm) {
        return std::nullopt;
    }
    living_[notice.pid] = notice.comm;
    return told;
}

std::vector<ProcessNotice> TargetProcesses::scan()
{
    std::vector<ProcessNotice> notices;
    for (const auto& [pid, comm] : living_) {
        const auto now = proc::identity(pid);
        if (!now || now->zombie) {
            notices.push_back({ProcessNotice::Kind::ended, pid, 0, true, comm});
        }
    }
    for (const ProcessNotice& ended : notices) {
        forget(ended.pid);
    }
    // A pid is waited for until it appears; after its end the number may be another's.
    std::erase_if(awaited_, [&](std::uint32_t pid) {
        const auto comm = proc::comm(pid);
        if (comm) {
            by_pid_.insert(pid);
            if (living_.emplace(pid, *comm).second) {
                notices.push_back({ProcessNotice::Kind::appeared, pid, 0, true, *comm});
            }
        }
        return comm.has_value();
    });
    return notices;
}

/// And runs what that runs.
bool TargetProcesses::is_child_of_target(const proc::Identity& process) const
{
    if (!living_.contains(process.parent)) {
        return false;
    }
    const auto parent = proc::identity(process.parent);
    return parent && may_run_the_same(parent->start_stack, process.start_stack);
}

bool TargetProcesses::still_is_child(std::uint32_t pid, const proc::Identity& process) const
{
    const auto child = children_.find(pid);
    return child != children_.end() && may_run_the_same(child->second, process.start_stack);
}

std::vector<ProcessNotice> TargetProcesses::scan_all()
{
    std::vector<ProcessNotice> notices;
    std::vector<std::pair<std::uint32_t, proc::Identity>> others;
    std::vector<std::pair<std::uint32_t, proc::Identity>> found;
    for (const std::uint32_t pid : proc::pids()) {
        if (!living_.contains(pid)) {
            if (auto process = proc::identity(pid); process && !process->zombie) {
                others.emplace_back(pid, std::move(*process));
            }
        }
    }
    // Nobody knows how long those of the first look have been there.
    const auto kind_of_child =
        has_looked_ ? ProcessNotice::Kind::forked : ProcessNotice::Kind::appeared;
    has_looked_ = true;
    const auto add = [&](const auto& other) {
        const auto& [pid, process] = other;
        const bool child = is_child_of_target(process);
        if (!child && !has_name(process.comm)) {
            return false;
        }
        const auto kind = child ? kind_of_child : ProcessNotice::Kind::appeared;
        living_[pid] = process.comm;
        found.emplace_back(pid, process);
        notices.push_back({kind, pid, child ? process.parent : 0, true, process.comm});
        return true;
    };
    while (std::erase_if(others, add) != 0) {
    }
    // The parent may have come after the child.
    for (const auto& [pid, process] : found) {
        if (is_child_of_target(process)) {
            children_[pid] = process.start_stack;
        }
    }
    return notices;
}

std::vector<ProcessNotice> TargetProcesses::scan_changes()
{
    std::vector<ProcessNotice> notices;
    for (const auto& [pid, comm] : living_) {
        const auto process = proc::identity(pid);
        if (!process) {
            continue;  // scan() tells of its end
        }
        if (!still_is_child(pid, *process)) {
            children_.erase(pid);
        }
        const bool stays = by_pid_.contains(pid) || is_child(pid) || has_name(process->comm);
        if (comm != process->comm || !stays) {
            notices.push_back({ProcessNotice::Kind::renamed, pid, 0, stays, process->comm});
        }
    }
    for (const ProcessNotice& changed : notices) {
        if (changed.target) {
            living_[changed.pid] = changed.comm;
        } else {
            forget(changed.pid);
        }
    }
    return notices;
}

FollowedProcesses TargetProcesses::followed() const
{
    FollowedProcesses followed{awaited_, {}};
    followed.by_pid.insert(followed.by_pid.end(), by_pid_.begin(), by_pid_.end());
    for (const auto& child : children_) {
        const auto process = proc::identity(child.first);
        if (process && still_is_child(child.first, *process)) {
            followed.children.push_back(child.first);
        }
    }
    return followed;
}

}  // namespace drainwatch
