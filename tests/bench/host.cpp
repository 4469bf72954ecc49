// What a usual host sees of it: 16 links among 20,000 sockets, in both tiers, and how soon it
// begins.
#include "bench/crowd.hpp"
#include "bench/daemon.hpp"
#include "bench/parts.hpp"
#include "bench/statistics.hpp"
#include "bench/usage.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <thread>

namespace drainwatch::bench {
namespace {

using namespace std::chrono_literals;

constexpr auto kComm = "bench-host";
constexpr unsigned kLinks = 16;
constexpr unsigned kSockets = 20'000;
constexpr unsigned kOfTarget = 8'000;
constexpr int kStarts = 11;
constexpr auto kSettle = 2s;
constexpr std::chrono::duration<double> kCount = 15s;

/// Share of a core, once it has started.
double cpu_share(const std::vector<std::string>& options)
{
    const Daemon daemon(options);
    std::this_thread::sleep_for(kSettle);
    const double before = cpu_seconds_of_tree(daemon.pid());
    std::this_thread::sleep_for(kCount);
    return (cpu_seconds_of_tree(daemon.pid()) - before) / kCount.count();
}

}  // namespace

Json measure_host(const Settings& settings)
{
    Crowd crowd({kComm, kSockets, kOfTarget, kLinks});
    crowd.let_flow(true);
    Json result{{"links", kLinks},
                {"sockets", kSockets},
                {"of_target", kOfTarget},
                {"executable_bytes", std::filesystem::file_size(live::drainwatch_executable())}};
    for (const std::string tier : {"bpf", "poll"}) {
        std::vector<std::string> options{"--process", kComm, "--port", std::to_string(crowd.port()),
                                         "--tier",    tier};
        options.insert(options.end(), settings.watch_options.begin(), settings.watch_options.end());
        std::vector<double> starts(kStarts);
        std::generate(starts.begin(), starts.end(), [&] {
            return std::chrono::duration<double, std::milli>(Daemon(options).start_time()).count();
        });
        result[tier] = {{"start_ms", estimate_median(starts).median},
                        {"worst_start_ms", quantile(starts, 1)},
                        {"cpu", cpu_share(options)}};
        fmt::print("tier {}: {}\n", tier, result[tier].dump());
        std::fflush(stdout);
    }
    return result;
}

}  // namespace drainwatch::bench
