#include "app/commands.hpp"
#include "app/session.hpp"
#include "app/stop_signals.hpp"
#include "host/proc.hpp"

#include <fmt/format.h>

namespace drainwatch {

Result<int> run_watch(const WatchOptions& options)
{
    for (const std::uint32_t pid : options.targets.pids) {
        if (const auto process = proc::thread_group(pid); process && *process != pid) {
            return fail(fmt::format("{} is a thread of process {}: give --pid {}", pid, *process,
                                    *process));
        }
    }
    const auto signals = open_stop_signals();
    if (!signals) {
        return tl::unexpected(signals.error());
    }
    const auto session = Session::open(options, signals->get());
    if (!session) {
        return tl::unexpected(session.error());
    }
    return (*session)->run();
}

}  // namespace drainwatch
