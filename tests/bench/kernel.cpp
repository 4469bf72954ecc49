// Nanoseconds of each of drainwatch's programs for each event, and those of an empty twin on the
// same tracepoint; and of one that counts its runs, for that is the least that a program can do
// which keeps anything. Each is attached alone, by turns: of two on one tracepoint, the first takes
// the cache misses that both would have, some 30 ns.
#include "bench/daemon.hpp"
#include "bench/parts.hpp"
#include "bench/programs.hpp"
#include "bench/statistics.hpp"
#include "bench/traffic.hpp"
#include "bench/twins.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <cstdio>
#include <stdexcept>

namespace drainwatch::bench {
namespace {

using namespace std::chrono_literals;

constexpr int kRounds = 10;
constexpr auto kBlock = 250ms;
constexpr double kGoalNs = 60;
constexpr double kGoalUnwatchedNs = 10;
/// A program that ran less often in some block is not what the traffic is about.
constexpr std::uint64_t kFewestRuns = 100;

/// What a program did in a block of traffic.
struct Runs {
    std::string tracepoint;
    std::string title;
    RunCounters counters;

    [[nodiscard]] double ns_of_one() const
    {
        return counters.runs == 0
                   ? 0
                   : static_cast<double>(counters.run_ns) / static_cast<double>(counters.runs);
    }
};
using Block = std::vector<Runs>;

/// The tracepoint, and the program where the two have different names.
std::string title_of(const HookedProgram& program)
{
    const bool same = program.tracepoint.compare(0, program.name.size(), program.name) == 0;
    return same ? program.tracepoint : fmt::format("{} ({})", program.tracepoint, program.name);
}

Block run_block(Traffic& traffic, const std::vector<HookedProgram>& programs)
{
    Block block;
    traffic.start();
    for (const HookedProgram& program : programs) {
        block.push_back({program.tracepoint, title_of(program), program.counters()});
    }
    (void)traffic.measure(kBlock);
    for (std::size_t i = 0; i < programs.size(); i++) {
        const RunCounters after = programs[i].counters();
        RunCounters& counters = block[i].counters;
        counters = {after.runs - counters.runs, after.run_ns - counters.run_ns};
    }
    traffic.stop();
    return block;
}

const Runs& find_runs(const Block& block, const std::string& title)
{
    const auto found = std::find_if(block.begin(), block.end(),
                                    [&](const Runs& runs) { return runs.title == title; });
    if (found == block.end()) {
        throw std::runtime_error("no runs of " + title +
                                 " in some block; has it a twin in twins.bpf.c?");
    }
    return *found;
}

/// Programs, and their twins in the same rounds.
struct Blocks {
    std::vector<Block> programs;
    std::vector<Block> twins;
};

/// `goal_ns` 0: none.
void report(const Blocks& blocks, const std::string& traffic, const std::string& what,
            double goal_ns, Json& rows)
{
    for (const Runs& program : blocks.programs.front()) {
        std::vector<double> runs;
        std::vector<double> program_ns;
        std::vector<double> twin_ns;
        std::vector<double> over_ns;
        for (std::size_t i = 0; i < blocks.programs.size(); i++) {
            const Runs& own = find_runs(blocks.programs[i], program.title);
            const Runs& twin = find_runs(blocks.twins[i], program.tracepoint);
            runs.push_back(static_cast<double>(std::min(own.counters.runs, twin.counters.runs)));
            program_ns.push_back(own.ns_of_one());
            twin_ns.push_back(twin.ns_of_one());
            over_ns.push_back(own.ns_of_one() - twin.ns_of_one());
        }
        if (quantile(runs, 0) < static_cast<double>(kFewestRuns)) {
            continue;
        }
        const Estimate over = estimate_median(over_ns);
        const double program_median_ns = estimate_median(program_ns).median;
        const double twin_median_ns = estimate_median(twin_ns).median;
        const double median_runs = estimate_median(runs).median;
        const bool met = goal_ns == 0 || over.median <= goal_ns;
        rows.push_back({{"traffic", traffic},
                        {"what", what},
                        {"program", program.title},
                        {"runs_per_block", median_runs},
                        {"program_ns", program_median_ns},
                        {"twin_ns", twin_median_ns},
                        {"over_ns", over.median},
                        {"over_low_ns", over.low},
                        {"over_high_ns", over.high},
                        {"met", met}});
        fmt::print(
            "{:<12} {:<9} {:<24} {:>9.0f} {:>8.1f} {:>7.1f} {:>+8.1f}  [{:+.1f}, {:+.1f}]{}\n",
            traffic, what, program.title, median_runs, program_median_ns, twin_median_ns,
            over.median, over.low, over.high, met ? "" : fmt::format("  MISSED: +{:.0f}", goal_ns));
    }
    std::fflush(stdout);
}

void measure(const TrafficKind& kind, const Settings& settings, const Twins& twins, Json& rows)
{
    const std::string comm = watched_comm();
    Traffic watched(kind, comm);
    Traffic unwatched(kind, comm + "u");
    std::vector<std::string> options{"--process", comm, "--tier", "bpf"};
    options.insert(options.end(), settings.watch_options.begin(), settings.watch_options.end());
    Blocks of_watched;
    Blocks of_unwatched;
    Blocks of_counting;
    const auto with_programs = [&] {
        const Daemon daemon(options);
        const auto programs = programs_of(daemon.pid());
        of_watched.programs.push_back(run_block(watched, programs));
        of_unwatched.programs.push_back(run_block(unwatched, programs));
    };
    const auto with_twins = [&] {
        const auto empty = twins.empty();
        const auto attached = attach(empty);
        of_watched.twins.push_back(run_block(watched, empty));
        of_unwatched.twins.push_back(run_block(unwatched, empty));
        of_counting.twins.push_back(of_unwatched.twins.back());
    };
    const auto with_counting = [&] {
        const auto counting = twins.counting();
        const auto attached = attach(counting);
        of_counting.programs.push_back(run_block(unwatched, counting));
    };
    const int rounds = settings.rounds > 0 ? settings.rounds : kRounds;
    for (int round = 0; round < rounds; round++) {
        if (round % 2 == 0) {
            with_programs();
            with_twins();
            with_counting();
        } else {
            with_counting();
            with_twins();
            with_programs();
        }
    }
    report(of_watched, kind.name, "watched", kGoalNs, rows);
    report(of_unwatched, kind.name, "unwatched", kGoalUnwatchedNs, rows);
    report(of_counting, kind.name, "counting", 0, rows);
}

}  // namespace

Json measure_kernel(const Settings& settings)
{
    const File statistics = count_runs();
    const Twins twins;
    fmt::print("{:<12} {:<9} {:<24} {:>9} {:>8} {:>7} {:>8}\n", "traffic", "sockets", "program",
               "runs", "ns/run", "twin", "over");
    Json rows = Json::array();
    for (const TrafficKind& kind : traffic_kinds()) {
        const auto& only = settings.only;
        if (only.empty() || std::find(only.begin(), only.end(), kind.name) != only.end()) {
            measure(kind, settings, twins, rows);
        }
    }
    return rows;
}

}  // namespace drainwatch::bench
