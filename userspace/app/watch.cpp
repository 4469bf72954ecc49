#include "app/commands.hpp"
#include "app/session.hpp"
#include "app/stop_signals.hpp"
#include "app/target_pids.hpp"
#include "output/escape.hpp"

#include <fmt/format.h>
#include <filesystem>

namespace drainwatch {
namespace {

/// One that is not there yet is waited for; a directory never becomes a log.
Result<void> check_logs(const std::vector<std::string>& paths)
{
    for (const std::string& path : paths) {
        std::error_code unknown;
        const auto status = std::filesystem::status(path, unknown);
        if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
            return fail(fmt::format("--cm-log {} is no file: give the log itself", escape(path)));
        }
    }
    return {};
}

}  // namespace

Result<int> run_watch(const WatchOptions& options)
{
    if (auto named = check_pids(options.targets); !named) {
        return tl::unexpected(named.error());
    }
    if (auto logs = check_logs(options.cm_logs); !logs) {
        return tl::unexpected(logs.error());
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
