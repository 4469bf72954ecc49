// How the cost grows with the sockets that are watched, all of them the target's: idle, and with
// one of a hundred active.
#include "bench/crowd.hpp"
#include "bench/daemon.hpp"
#include "bench/parts.hpp"
#include "bench/statistics.hpp"
#include "bench/usage.hpp"
#include "support/process.hpp"
#include "support/sender.hpp"
#include "support/target.hpp"
#include "support/watcher.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <thread>

namespace drainwatch::bench {
namespace {

using namespace std::chrono_literals;

/// How many starts, and how many stalls.
constexpr int kRounds = 5;
/// What a start does once is over then; and what the kernel frees by and by after an end.
constexpr auto kSettle = 2s;
constexpr auto kActiveSpacing = 100ms;
/// Fewer sockets than this are lost among what else the kernel does with its memory.
constexpr unsigned kFewestForMemory = 10'000;

/// CPU is counted for so long that full looks belong to it, whose share of the time is one in so
/// many: a look takes about a microsecond for each socket.
std::chrono::microseconds time_to_count(unsigned sockets, unsigned one_in, int rounds)
{
    return 2s * rounds + 1us * sockets * one_in;
}
/// The shares that Session gives each of the tiers.
constexpr unsigned kLooks = 2000;
constexpr unsigned kPolledLooks = 300;
/// Activity changes nothing about full looks.
constexpr unsigned kNoLooks = 0;

std::vector<std::string> watch_the_crowd()
{
    return {"--process", watched_comm()};
}

std::vector<std::string> watch(const live::Process& process)
{
    return {"--pid", std::to_string(process.pid())};
}

/// The table has a place for each socket, and for the listeners' next connections.
std::vector<std::string> watch_options(const Settings& settings, unsigned sockets,
                                       const std::string& tier,
                                       const std::vector<std::string>& whom)
{
    std::vector<std::string> options{
        "--max-sockets", std::to_string(std::max(sockets + 256, 1024U)), "--tier", tier};
    options.insert(options.end(), whom.begin(), whom.end());
    options.insert(options.end(), settings.watch_options.begin(), settings.watch_options.end());
    return options;
}

double start_ms(const std::vector<std::string>& options, int rounds)
{
    std::vector<double> took(static_cast<std::size_t>(rounds));
    std::generate(took.begin(), took.end(), [&] {
        std::this_thread::sleep_for(kSettle);
        return std::chrono::duration<double, std::milli>(Daemon(options).start_time()).count();
    });
    return estimate_median(took).median;
}

/// Share of a core that it takes from now on, for so long.
double cpu_share(const Daemon& daemon, std::chrono::microseconds how_long)
{
    const double before = cpu_seconds_of_tree(daemon.pid());
    const auto began = std::chrono::steady_clock::now();
    std::this_thread::sleep_for(how_long);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    return (cpu_seconds_of_tree(daemon.pid()) - before) / took.count();
}

double stall_to_line_ms(const std::vector<std::string>& options)
{
    live::Target target(watched_comm(), {}, live::Target::one_connection(live::read_all));
    live::Sender sender(target.port(), {});
    sender.start();
    auto by_age = options;  // the forecast would come first, sooner for a smaller buffer
    by_age.insert(by_age.end(), {"--horizon", "1ms"});
    live::Watcher watcher(by_age);
    std::this_thread::sleep_for(kSettle);
    const std::uint64_t stalled_ns = live::realtime_ns();
    target.control().hold = true;
    const auto line = watcher.wait_for(live::is_trouble, 10s);
    target.control().quit = true;
    if (!line) {
        throw std::runtime_error("no warning of the stall");
    }
    return static_cast<double>(line->read_ns - stalled_ns) / 1e6;
}

Json measure(unsigned sockets, const Settings& settings)
{
    const unsigned links = std::max(sockets / 200, 1U);
    const int rounds = settings.rounds > 0 ? settings.rounds : kRounds;
    Crowd crowd({watched_comm(), sockets, sockets, links, kActiveSpacing});
    const auto options = watch_options(settings, sockets, "bpf", watch_the_crowd());
    Json row{{"sockets", sockets}, {"active_links", links}};
    const double start = start_ms(options, rounds);
    row["start_ms"] = start;
    // with a table as large, and no socket to watch (this process is the crowd's parent)
    const live::Process idle = live::Process::fork([] { std::this_thread::sleep_for(1h); });
    row["first_look_ms"] =
        start - start_ms(watch_options(settings, sockets, "bpf", watch(idle)), rounds);
    {
        std::this_thread::sleep_for(kSettle);  // the maps of those before are freed by and by
        const std::uint64_t before = kernel_bytes();
        const Daemon daemon(options);
        std::this_thread::sleep_for(kSettle);
        const double grown = static_cast<double>(kernel_bytes()) - static_cast<double>(before);
        row["map_bytes_per_socket"] = map_bytes(daemon.pid()) / sockets;
        row["kernel_bytes_per_socket"] =
            sockets < kFewestForMemory ? Json(nullptr) : Json(grown / sockets);
        row["cpu_idle"] = cpu_share(daemon, time_to_count(sockets, kLooks, rounds));
        crowd.let_flow(true);
        std::this_thread::sleep_for(kSettle);
        row["cpu_active"] = cpu_share(daemon, time_to_count(sockets, kNoLooks, rounds));
        crowd.let_flow(false);
        const Resident resident = resident_bytes(daemon.pid());
        row["resident_bytes"] = resident.all;
        row["resident_own_bytes"] = resident.own;
    }
    std::vector<double> to_line(static_cast<std::size_t>(rounds));
    std::generate(to_line.begin(), to_line.end(), [&] { return stall_to_line_ms(options); });
    row["stall_to_line_ms"] = estimate_median(to_line).median;
    row["worst_stall_to_line_ms"] = *std::max_element(to_line.begin(), to_line.end());
    {
        const Daemon daemon(watch_options(settings, sockets, "poll", watch_the_crowd()));
        std::this_thread::sleep_for(kSettle);
        row["cpu_idle_poll"] = cpu_share(daemon, time_to_count(sockets, kPolledLooks, rounds));
    }
    return row;
}

}  // namespace

Json measure_scale(const Settings& settings)
{
    Json rows = Json::array();
    const std::vector<std::string> usual{"1000", "10000", "100000"};
    for (const std::string& count : settings.only.empty() ? usual : settings.only) {
        rows.push_back(measure(static_cast<unsigned>(std::stoul(count)), settings));
        fmt::print("{}\n", rows.back().dump(1));
        std::fflush(stdout);
    }
    return rows;
}

}  // namespace drainwatch::bench
