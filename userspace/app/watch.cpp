#include "app/commands.hpp"
#include "app/session.hpp"
#include "app/stop_signals.hpp"
#include "app/target_pids.hpp"

namespace drainwatch {

Result<int> run_watch(const WatchOptions& options)
{
    if (auto named = check_pids(options.targets); !named) {
        return tl::unexpected(named.error());
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
