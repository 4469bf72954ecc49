// corpus: workloads made from seeds, each with its trouble injected at a known moment, tcpdump as
// the witness; how often drainwatch is right, and how early.
#include "corpus/options.hpp"
#include "corpus/report.hpp"
#include "corpus/results.hpp"
#include "corpus/run.hpp"
#include "corpus/schedule.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <cstdint>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace drainwatch::corpus {
namespace {

void write_file(const std::string& path, const std::string& text)
{
    std::ofstream file(path);
    file << text << std::flush;
    if (!file) {
        throw std::runtime_error("cannot write " + path);
    }
}

/// Crowds of sockets are more than what a shell usually allows.
void raise_descriptor_limit()
{
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/// In a process of its own; its one line goes to whoever schedules. What was seen in a run that
/// misses a goal is shown, for it may not come again.
int run_one(const Single& single)
{
    const Plan plan = make_plan(single.name, single.seed);
    Result result;
    result.name = single.name;
    result.seed = single.seed;
    try {
        const Observation observation = carry_out(plan);
        Judgement judgement = judge(plan, observation);
        result.verdicts = std::move(judgement.links);
        result.stray_alarms = judgement.stray_alarms;
        result.version = observation.version;
        if (single.shows_all || !is_clean(make_report({result}))) {
            fmt::print(stderr, "{}\n{}\n", to_json(plan).dump(), to_json(observation).dump());
        }
    } catch (const std::exception& error) {
        result.broken = error.what();
    }
    fmt::print("{}\n", to_line(result));
    return 0;
}

/// Where one run has many links, so many runs all the same.
constexpr std::uint32_t kFewestRuns = 40;
/// And what so many readers and senders do at once is to be a matter of drainwatch, not of other
/// runs.
constexpr std::uint32_t kMostLinksBesideOthers = 8;

/// Run by run, so that whoever stops half way has as much of each class.
std::vector<Task> plan_tasks(const Options& options)
{
    std::vector<Task> tasks;
    std::map<std::string, std::uint32_t> links;
    const auto wants = [&](const std::string& name, std::uint32_t run) {
        if (options.runs != 0) {
            return run < options.runs;
        }
        const bool stalls = make_plan(name, options.seed).group == Group::stalls;
        return run < kFewestRuns || links[name] < (stalls ? options.links : options.links / 2);
    };
    std::vector<std::string> open = options.classes;
    for (std::uint32_t run = 0; !open.empty(); run++) {
        std::erase_if(open, [&](const std::string& name) { return !wants(name, run); });
        for (const std::string& name : open) {
            const std::uint32_t of_run = make_plan(name, options.seed + run).links;
            tasks.push_back({name, options.seed + run, of_run > kMostLinksBesideOthers});
            links[name] += of_run;
        }
    }
    return tasks;
}

int run_many(const Options& options)
{
    ResultFile results(options.results);
    std::vector<Task> tasks = plan_tasks(options);
    std::erase_if(tasks, [&](const Task& task) { return results.has(task.name, task.seed); });
    // A run that broke says nothing about drainwatch: the machine was too busy for the witness, or
    // the peers. It is tried once more, when the others are done.
    std::vector<Task> broken;
    run_all(tasks, options.jobs, [&](Result result) {
        if (result.broken.empty()) {
            results.add(std::move(result));
        } else {
            fmt::print(stderr, "corpus: {} {}: {}; once more later\n", result.name, result.seed,
                       result.broken);
            broken.push_back({result.name, result.seed, true});
        }
    });
    run_all(broken, 1, [&](Result result) { results.add(std::move(result)); });
    const Report report = make_report(results.all());
    const std::string markdown = to_markdown(report, describe(options, report));
    if (!options.markdown.empty()) {
        write_file(options.markdown, markdown);
    }
    if (!options.json.empty()) {
        write_file(options.json, to_json(report).dump(2) + "\n");
    }
    fmt::print("{}", markdown);
    return is_clean(report) ? 0 : 1;
}

}  // namespace
}  // namespace drainwatch::corpus

int main(int argc, char** argv)
{
    using namespace drainwatch::corpus;
    raise_descriptor_limit();
    try {
        const auto command = parse_options(argc, argv);
        if (const auto* single = std::get_if<Single>(&command)) {
            return run_one(*single);
        }
        if (const auto* options = std::get_if<Options>(&command)) {
            return run_many(*options);
        }
        fmt::print("{}", std::get<std::string>(command));
        return 0;
    } catch (const std::exception& error) {
        fmt::print(stderr, "corpus: {}\n", error.what());
        return 3;
    }
}
