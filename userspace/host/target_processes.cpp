#include "host/target_processes.hpp"

#include "host/proc.hpp"

#include <algorithm>

namespace drainwatch {

TargetProcesses::TargetProcesses(const Targets& targets)
    : names_(targets.names), awaited_(targets.pids)
{}

bool TargetProcesses::has_name(const std::string& comm) const
{
    return std::find(names_.begin(), names_.end(), comm) != names_.end();
}

std::optional<ProcessNotice> TargetProcesses::note(const ProcessNotice& notice)
{
    const auto known = living_.find(notice.pid);
    ProcessNotice told = notice;
    if (notice.kind == ProcessNotice::Kind::ended || !notice.target) {
        if (known == living_.end()) {
            return std::nullopt;
        }
        living_.erase(known);
        return told;
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

ProcessNotice TargetProcesses::appeared(std::uint32_t pid, const std::string& comm)
{
    living_[pid] = comm;
    return {ProcessNotice::Kind::appeared, pid, 0, true, comm};
}

std::vector<ProcessNotice> TargetProcesses::scan()
{
    std::vector<ProcessNotice> notices;
    std::erase_if(living_, [&](const auto& process) {
        const auto now = proc::identity(process.first);
        const bool ended = !now || now->zombie;
        if (ended) {
            kept_.erase(process.first);
            notices.push_back({ProcessNotice::Kind::ended, process.first, 0, true, process.second});
        }
        return ended;
    });
    // A pid is waited for until it appears; after its end the number may be another's.
    std::erase_if(awaited_, [&](std::uint32_t pid) {
        const auto comm = proc::comm(pid);
        if (comm && !living_.contains(pid)) {
            kept_.insert(pid);
            notices.push_back(appeared(pid, *comm));
        }
        return comm.has_value();
    });
    return notices;
}

std::vector<ProcessNotice> TargetProcesses::scan_names()
{
    std::vector<ProcessNotice> notices;
    if (names_.empty()) {
        return notices;
    }
    for (const std::uint32_t pid : proc::pids()) {
        const auto comm = proc::comm(pid);
        if (!comm || living_.contains(pid) || !has_name(*comm)) {
            continue;
        }
        const auto process = proc::identity(pid);
        if (process && !process->zombie) {
            notices.push_back(appeared(pid, *comm));
        }
    }
    return notices;
}

std::vector<std::uint32_t> TargetProcesses::not_by_name() const
{
    std::vector<std::uint32_t> pids = awaited_;
    for (const auto& [pid, comm] : living_) {
        if (kept_.contains(pid) || !has_name(comm)) {
            pids.push_back(pid);
        }
    }
    return pids;
}

std::vector<ProcessNotice> TargetProcesses::scan_families()
{
    std::vector<ProcessNotice> notices;
    for (const std::uint32_t pid : proc::pids()) {
        const auto process = proc::identity(pid);
        if (!process || process->zombie) {
            continue;
        }
        const auto known = living_.find(pid);
        if (known == living_.end()) {
            if (living_.contains(process->parent)) {
                kept_.insert(pid);
                living_[pid] = process->comm;
                notices.push_back(
                    {ProcessNotice::Kind::forked, pid, process->parent, true, process->comm});
            } else if (has_name(process->comm)) {
                notices.push_back(appeared(pid, process->comm));
            }
        } else if (known->second != process->comm) {
            const bool stays = kept_.contains(pid) || has_name(process->comm);
            notices.push_back({ProcessNotice::Kind::renamed, pid, 0, stays, process->comm});
            if (stays) {
                known->second = process->comm;
            } else {
                living_.erase(known);
            }
        }
    }
    return notices;
}

}  // namespace drainwatch
