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

std::vector<ProcessNotice> TargetProcesses::scan(bool by_name)
{
    std::vector<ProcessNotice> notices;
    std::erase_if(living_, [&](const auto& process) {
        const bool ended = !proc::comm(process.first);
        if (ended) {
            notices.push_back({ProcessNotice::Kind::ended, process.first, 0, true, process.second});
        }
        return ended;
    });
    const auto appeared = [&](std::uint32_t pid, const std::string& comm) {
        living_[pid] = comm;
        notices.push_back({ProcessNotice::Kind::appeared, pid, 0, true, comm});
    };
    // A pid is waited for until it appears; after its end the number may be another's.
    std::erase_if(awaited_, [&](std::uint32_t pid) {
        const auto comm = proc::comm(pid);
        if (comm && !living_.contains(pid)) {
            appeared(pid, *comm);
        }
        return comm.has_value();
    });
    if (!by_name || names_.empty()) {
        return notices;
    }
    for (const std::uint32_t pid : proc::pids()) {
        const auto comm = proc::comm(pid);
        if (comm && !living_.contains(pid) && has_name(*comm)) {
            appeared(pid, *comm);
        }
    }
    return notices;
}

}  // namespace drainwatch
