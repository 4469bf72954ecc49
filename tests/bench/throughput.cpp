// What comes out at the end: the same traffic with drainwatch's programs, with empty twins, and
// with nothing, in short blocks by turns. The machine's speed drifts by far more than what is
// looked for, but seldom within half a second; and drainwatch takes longer than that to start. So
// its programs, loaded, set up and filled by itself, are taken over from it, and attached and taken
// off again in a millisecond. What its process costs on top is measured by stopping it and letting
// it go on.
#include "bench/daemon.hpp"
#include "bench/parts.hpp"
#include "bench/programs.hpp"
#include "bench/statistics.hpp"
#include "bench/traffic.hpp"
#include "bench/twins.hpp"

#include <fmt/format.h>
#include <array>
#include <csignal>
#include <cstdio>
#include <functional>
#include <optional>
#include <thread>
#include <utility>

namespace drainwatch::bench {
namespace {

using namespace std::chrono_literals;

constexpr int kRounds = 40;
/// A bulk transfer runs less evenly.
constexpr int kRoundsOfBulk = 120;
constexpr auto kBlock = 60ms;
constexpr auto kRest = 50ms;
constexpr double kGoal = 0.995;
/// drainwatch has the kernel count runs in its first second, and in one of each minute after that.
constexpr auto kFirstSecond = 1200ms;

/// Takes a block's state on, and holds it until what it returns is gone.
using State = std::function<std::vector<File>()>;

/// What was done, a second, in the blocks of each state: its mean in each round.
using Rates = std::vector<std::vector<double>>;

/// Each round goes through the states and back again, so that what drifts falls on all alike.
Rates run_rounds(Traffic& traffic, const std::vector<State>& states, int rounds)
{
    Rates rates(states.size());
    const auto block = [&](std::size_t i) {
        const auto held = states[i]();
        return traffic.measure(kBlock);
    };
    for (int round = 0; round < rounds; round++) {
        // the kernel has work of its own to do on these CPUs
        std::this_thread::sleep_for(kRest);
        traffic.start();
        (void)traffic.measure(kBlock);
        for (std::size_t i = 0; i < states.size(); i++) {
            rates[i].push_back(block(i) / 2);
        }
        for (std::size_t i = states.size(); i-- > 0;) {
            rates[i].back() += block(i) / 2;
        }
        traffic.stop();
    }
    return rates;
}

/// Of the one to the other, in the same rounds.
Estimate ratio(const std::vector<double>& of, const std::vector<double>& to)
{
    std::vector<double> ratios(of.size());
    for (std::size_t i = 0; i < of.size(); i++) {
        ratios[i] = of[i] / to[i];
    }
    return estimate_median(ratios);
}

/// A line of the table; `goal` 0: none.
Json report(const TrafficKind& kind, const std::string& what, double rate, const Estimate& found,
            double goal)
{
    const bool met = found.median >= goal;
    fmt::print("{:<10} {:<44} {:>14.0f}  {:.4f} [{:.4f}, {:.4f}]{}\n", kind.name, what, rate,
               found.median, found.low, found.high, met ? "" : "  MISSED");
    std::fflush(stdout);
    Json row{{"traffic", kind.name},
             {"unit", kind.unit},
             {"what", what},
             {"rate", rate},
             {"ratio", to_json(found)}};
    if (goal > 0) {
        row["goal"] = goal;
        row["met"] = met;
    }
    return row;
}

/// drainwatch watches the traffic, or nobody.
void measure(const TrafficKind& kind, bool watched, const Settings& settings, Json& rows)
{
    const int rounds = settings.rounds > 0 ? settings.rounds : kRounds;
    const int many_rounds = settings.rounds > 0 || kind.name != "bulk" ? rounds : kRoundsOfBulk;
    const std::string comm = watched_comm();
    const std::string whose = watched ? "watched" : "not watched";
    Traffic traffic(kind, comm);
    // or nobody: this process is the traffic's parent, and children of a target are watched
    std::vector<std::string> options{"--process", watched ? comm : comm + "u", "--tier", "bpf"};
    options.insert(options.end(), settings.watch_options.begin(), settings.watch_options.end());
    std::vector<HookedProgram> programs;
    {
        const Daemon daemon(options);
        std::this_thread::sleep_for(kFirstSecond);
        programs = programs_of(daemon.pid());
        const State stopped = [&] {
            daemon.signal(SIGSTOP);
            return std::vector<File>();
        };
        const State going_on = [&] {
            daemon.signal(SIGCONT);
            return std::vector<File>();
        };
        const Rates rates = run_rounds(traffic, {going_on, stopped}, rounds);
        daemon.signal(SIGCONT);
        rows.push_back(report(kind, whose + ": its process, running to stopped",
                              estimate_median(rates[0]).median, ratio(rates[0], rates[1]), 0));
    }
    const Twins twins;
    const auto empty = twins.empty();
    const auto counting = twins.counting();
    const Rates rates =
        run_rounds(traffic,
                   {[] { return std::vector<File>(); }, [&] { return attach(empty); },
                    [&] { return attach(programs); }, [&] { return attach(counting); }},
                   many_rounds);
    rows.push_back(report(kind, whose + ": empty twins to nothing",
                          estimate_median(rates[1]).median, ratio(rates[1], rates[0]), 0));
    rows.push_back(report(kind, whose + ": programs that count to empty twins",
                          estimate_median(rates[3]).median, ratio(rates[3], rates[1]), 0));
    rows.push_back(report(kind, whose + ": drainwatch's programs to nothing",
                          estimate_median(rates[2]).median, ratio(rates[2], rates[0]), 0));
    rows.push_back(report(kind, whose + ": drainwatch's programs to empty twins",
                          estimate_median(rates[2]).median, ratio(rates[2], rates[1]), kGoal));
}

}  // namespace

Json measure_throughput(const Settings& settings)
{
    fmt::print("{:<10} {:<44} {:>14}  {}\n", "traffic", "", "a second", "ratio");
    Json rows = Json::array();
    const std::vector<std::string> usual{"pingpong", "bulk"};
    for (const std::string& name : settings.only.empty() ? usual : settings.only) {
        for (const bool watched : {true, false}) {
            measure(traffic_kind(name), watched, settings, rows);
        }
    }
    return rows;
}

}  // namespace drainwatch::bench
