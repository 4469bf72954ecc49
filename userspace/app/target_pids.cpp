#include "app/target_pids.hpp"

#include "host/proc.hpp"

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

}  // namespace drainwatch
