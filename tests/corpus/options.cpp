#include "corpus/options.hpp"

#include "corpus/plan.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <CLI/CLI.hpp>
#include <algorithm>
#include <stdexcept>
#include <string_view>
#include <thread>

namespace drainwatch::corpus {
namespace {

/// The class that needs net.ipv4.tcp_shrink_window (6.5).
constexpr std::string_view kShrinkWindow = "shrink-window";

bool has_shrink_window()
{
    return access("/proc/sys/net/ipv4/tcp_shrink_window", F_OK) == 0;
}

std::vector<std::string> classes_of_this_kernel()
{
    std::vector<std::string> names;
    for (const std::string_view name : class_names()) {
        if (name != kShrinkWindow || has_shrink_window()) {
            names.emplace_back(name);
        }
    }
    return names;
}

}  // namespace

std::variant<Options, Single, std::string> parse_options(int argc, char** argv)
{
    CLI::App app{"How often drainwatch is right, and how early: workloads made from seeds."};
    Options options;
    // More would keep the CPUs busy all the time, and measure that.
    options.jobs = 2 * std::max(1U, std::thread::hardware_concurrency());
    Single single;
    bool quick = false;
    const std::vector<std::string> known = classes_of_this_kernel();
    app.add_option("--class", options.classes, "run this class alone; repeatable")
        ->check(CLI::IsMember(known));
    app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    app.add_option("--seed", options.seed, "of the first run of each class [1]");
    auto* runs = app.add_option("--runs", options.runs, "so many of each class, instead")
                     ->check(CLI::Range(1, 100'000));
    app.add_option("--links", options.links,
                   "runs of each class of stalls until they have so many, of others half as many; "
                   "40 runs at least [300]")
        ->check(CLI::Range(1, 1'000'000))
        ->excludes(runs);
    app.add_option("--jobs", options.jobs, "runs at the same time [two for each CPU]")
        ->check(CLI::Range(1, 64));
    app.add_option("--results", options.results,
                   "results are kept here; what is there is not run again");
    app.add_option("--markdown", options.markdown, "write the report to this file as well");
    app.add_option("--json", options.json, "and as JSON to this one");
    app.add_flag("--quick", quick, "two runs of each class, if --runs does not say otherwise");
    auto* one = app.add_subcommand("one", "a single run, judged, as a line of JSON");
    one->add_option("class", single.name)->required()->check(CLI::IsMember(known));
    one->add_option("seed", single.seed)->required();
    one->add_flag("--show", single.shows_all,
                  "what was planned and seen, on stderr, even if it met every goal");
    try {
        app.parse(argc, argv);
    } catch (const CLI::CallForHelp&) {
        return app.help();
    } catch (const CLI::ParseError& error) {
        throw std::invalid_argument(error.what());
    }
    if (geteuid() != 0) {
        throw std::runtime_error(
            "it makes network namespaces and watches processes: run it as root");
    }
    if (one->parsed()) {
        return single;
    }
    if (quick && runs->empty()) {
        options.runs = 2;
    }
    if (options.classes.empty()) {
        options.classes = known;
    }
    if (options.results.empty()) {
        throw std::invalid_argument("--results FILE says where the results are kept");
    }
    return options;
}

std::string describe(const Options& options, const Report& report)
{
    utsname host{};
    uname(&host);
    std::string text = fmt::format(
        "Made by `scripts/corpus --jobs {}`, with drainwatch {}, on Linux {} with {} cores; "
        "`--cpu-budget 0`, for several run at once; one of many links runs alone.",
        options.jobs, fmt::join(report.versions, " and "), host.release,
        std::thread::hardware_concurrency());
    if (!has_shrink_window()) {
        text += fmt::format(" {} is left out: this kernel has no such setting.", kShrinkWindow);
    }
    return text;
}

}  // namespace drainwatch::corpus
