#include "app/target_pids.hpp"

#include "host/proc.hpp"
#include "output/source_json.hpp"

#include <fmt/format.h>

namespace drainwatch {

Result<void> check_pids(const Targets& targets)
{
    for (const std::uint32_t pid : targets.pids) {
        if (const auto process = proc::thread_group(pid); process && *process != pid) {
            return fail(fmt::format("{} is a thread of process {}: give --pid {}", pid, *process,
                                    *process));
        }
    }
    return {};
}

std::vector<std::string> not_among(const std::vector<ProcessNotice>& processes, Targets targets)
{
    for (const ProcessNotice& process : processes) {
        std::erase(targets.names, process.comm);
        std::erase(targets.pids, process.pid);
    }
    return processes_in_words(targets);
}

}  // namespace drainwatch
