#include "app/commands.hpp"
#include "app/demo_link.hpp"
#include "app/session.hpp"
#include "app/stop_signals.hpp"

#include <fmt/format.h>
#include <cstdio>

namespace drainwatch {
namespace {

using namespace std::chrono_literals;

/// The link's own story ends well before this.
constexpr auto kDuration = 12s;

}  // namespace

Result<int> run_demo(const DemoOptions& options)
{
    // The link is a process of its own, as in life; it starts first, while there is but one thread.
    auto link = DemoLink::start();
    if (!link) {
        return tl::unexpected(link.error());
    }
    const auto signals = open_stop_signals();
    if (!signals) {
        return tl::unexpected(signals.error());
    }
    WatchOptions watch;
    watch.targets.pids = {link->pid()};
    watch.targets.ports = {link->port()};
    watch.output = options.output;
    watch.verbose = options.verbose;
    watch.duration = kDuration;
    auto session = Session::open(watch, signals->get());
    if (!session) {
        return tl::unexpected(session.error());
    }
    (*session)->on_started = [&] { link->go(); };
    auto code = (*session)->run();
    if (code) {
        fmt::print(stderr, "demo: the end; exit code {}, as `watch` would give it\n", *code);
    }
    return code;
}

}  // namespace drainwatch
