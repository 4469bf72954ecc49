// Nanoseconds of each of drainwatch's programs for each event, beside those of an empty twin on the
// same tracepoint, both attached at the same time.
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

/// A program of drainwatch, its twin, and what the blocks say of them.
struct Pair {
    HookedProgram program;
    HookedProgram twin;
    RunCounters program_before;
    RunCounters twin_before;
    std::vector<double> runs;
    std::vector<double> program_ns;
    std::vector<double> twin_ns;
    std::vector<double> over_ns;
};

std::vector<Pair> make_pairs(std::vector<HookedProgram> programs, const Twins& twins)
{
    std::vector<Pair> pairs;
    for (HookedProgram& program : programs) {
        auto candidates = twins.programs();
        const auto twin = std::find_if(
            candidates.begin(), candidates.end(),
            [&](const HookedProgram& t) { return t.tracepoint == program.tracepoint; });
        if (twin == candidates.end()) {
            throw std::runtime_error("no twin for " + program.tracepoint + " in twins.bpf.c");
        }
        pairs.push_back({std::move(program), std::move(*twin), {}, {}, {}, {}, {}, {}});
    }
    return pairs;
}

void begin_block(std::vector<Pair>& pairs)
{
    for (Pair& pair : pairs) {
        pair.program_before = pair.program.counters();
        pair.twin_before = pair.twin.counters();
    }
}

RunCounters since(const HookedProgram& program, const RunCounters& before)
{
    const RunCounters now = program.counters();
    return {now.runs - before.runs, now.run_ns - before.run_ns};
}

double ns_of_a_run(const RunCounters& counters)
{
    return counters.runs == 0
               ? 0
               : static_cast<double>(counters.run_ns) / static_cast<double>(counters.runs);
}

void end_block(std::vector<Pair>& pairs)
{
    for (Pair& pair : pairs) {
        const RunCounters program = since(pair.program, pair.program_before);
        const RunCounters twin = since(pair.twin, pair.twin_before);
        pair.runs.push_back(static_cast<double>(std::min(program.runs, twin.runs)));
        pair.program_ns.push_back(ns_of_a_run(program));
        pair.twin_ns.push_back(ns_of_a_run(twin));
        pair.over_ns.push_back(ns_of_a_run(program) - ns_of_a_run(twin));
    }
}

/// The tracepoint, and the program where the two have different names.
std::string title_of(const HookedProgram& program)
{
    const bool same = program.tracepoint.compare(0, program.name.size(), program.name) == 0;
    return same ? program.tracepoint : fmt::format("{} ({})", program.tracepoint, program.name);
}

void report(const std::vector<Pair>& pairs, const std::string& traffic, bool watched, Json& rows)
{
    const double goal_ns = watched ? kGoalNs : kGoalUnwatchedNs;
    for (const Pair& pair : pairs) {
        if (quantile(pair.runs, 0) < static_cast<double>(kFewestRuns)) {
            continue;
        }
        const Estimate over = estimate_median(pair.over_ns);
        const double program_ns = estimate_median(pair.program_ns).median;
        const double twin_ns = estimate_median(pair.twin_ns).median;
        const double runs = estimate_median(pair.runs).median;
        rows.push_back({{"traffic", traffic},
                        {"watched", watched},
                        {"program", title_of(pair.program)},
                        {"runs_per_block", runs},
                        {"program_ns", program_ns},
                        {"twin_ns", twin_ns},
                        {"over_ns", over.median},
                        {"over_low_ns", over.low},
                        {"over_high_ns", over.high},
                        {"goal_ns", goal_ns},
                        {"met", over.median <= goal_ns}});
        fmt::print(
            "{:<12} {:<9} {:<24} {:>9.0f} {:>8.1f} {:>7.1f} {:>+8.1f}  [{:+.1f}, {:+.1f}]{}\n",
            traffic, watched ? "watched" : "unwatched", title_of(pair.program), runs, program_ns,
            twin_ns, over.median, over.low, over.high,
            over.median <= goal_ns ? "" : fmt::format("  MISSED: +{:.0f}", goal_ns));
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
    const Daemon daemon(options);
    const auto attached = attach(twins.programs());
    auto watched_pairs = make_pairs(programs_of(daemon.pid()), twins);
    auto unwatched_pairs = make_pairs(programs_of(daemon.pid()), twins);
    const auto block = [&](Traffic& traffic, std::vector<Pair>& pairs) {
        traffic.start();
        begin_block(pairs);
        (void)traffic.measure(kBlock);
        end_block(pairs);
        traffic.stop();
    };
    const int rounds = settings.rounds > 0 ? settings.rounds : kRounds;
    for (int round = 0; round < rounds; round++) {
        if (round % 2 == 0) {
            block(watched, watched_pairs);
            block(unwatched, unwatched_pairs);
        } else {
            block(unwatched, unwatched_pairs);
            block(watched, watched_pairs);
        }
    }
    report(watched_pairs, kind.name, true, rows);
    report(unwatched_pairs, kind.name, false, rows);
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
