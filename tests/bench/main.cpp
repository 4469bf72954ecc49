// bench [PART...]: what watching costs. Each part prints a table, and keeps what it measured as
// JSON; the report is written of what was kept.
#include "bench/parts.hpp"
#include "bench/report.hpp"
#include "support/process.hpp"

#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <thread>

namespace drainwatch::bench {
namespace {

/// Exit code by which a test says that it could not run.
constexpr int kSkipped = 77;

using Part = Json (*)(const Settings&);

const std::map<std::string, Part> kParts{
    {"kernel", measure_kernel}, {"throughput", measure_throughput},
    {"rivals", compare_rivals}, {"scale", measure_scale},
    {"host", measure_host},
};

std::string cpu_model()
{
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);) {
        if (line.rfind("model name", 0) == 0) {
            return line.substr(line.find(':') + 2);
        }
    }
    return "unknown CPU";
}

/// "drainwatch 0.1.0 (1234abcd), Linux 6.18, 2 cores of AMD EPYC"
std::string what_is_measured()
{
    std::string version = live::run({live::drainwatch_executable(), "--version"}).out;
    version.erase(version.find_last_not_of('\n') + 1);
    utsname host{};
    uname(&host);
    return fmt::format("{}, Linux {}, {} cores of {}", version, host.release,
                       std::thread::hardware_concurrency(), cpu_model());
}

struct Options {
    std::vector<std::string> parts;
    Settings settings;
    std::string executable;
    std::filesystem::path results;
    std::filesystem::path docs;
};

/// All of them, if none is named and there is no report to be written.
std::vector<std::string> parts_of(const Options& options)
{
    std::vector<std::string> parts = options.parts;
    if (parts.empty() && options.docs.empty()) {
        std::transform(kParts.begin(), kParts.end(), std::back_inserter(parts),
                       [](const auto& part) { return part.first; });
    }
    return parts;
}

int run(const Options& options)
{
    if (!options.executable.empty()) {
        // NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread yet
        setenv("DRAINWATCH_EXECUTABLE", options.executable.c_str(), 1);
    }
    for (const std::string& name : parts_of(options)) {
        const Json result = kParts.at(name)(options.settings);
        if (!options.results.empty()) {
            keep(options.results, name, result, what_is_measured(), !options.settings.only.empty());
        }
    }
    if (!options.docs.empty()) {
        write_report(options.results, options.docs);
    }
    return 0;
}

}  // namespace
}  // namespace drainwatch::bench

int main(int argc, char** argv)
{
    using namespace drainwatch::bench;
    CLI::App app("What watching costs, beside what would cost nothing.", "bench");
    Options options;
    app.add_option("part", options.parts, "what to measure")->check(CLI::IsMember(kParts));
    app.add_option(
        "--only", options.settings.only,
        "only this of the part (a traffic, a number of sockets, cost or stall); repeatable");
    app.add_option("--rounds", options.settings.rounds,
                   "how often each block, start or stall is repeated");
    app.add_option("--watch-option", options.settings.watch_options,
                   "further option of drainwatch; repeatable");
    app.add_option("--executable", options.executable, "the drainwatch to measure");
    app.add_option("--results", options.results, "directory for a JSON file of each part");
    app.add_option("--docs", options.docs, "write the report of all results to this directory")
        ->needs("--results");
    try {
        app.parse(argc, argv);
        if (geteuid() != 0) {
            fmt::print(stderr, "bench: run this as root\n");
            return kSkipped;
        }
        return run(options);
    } catch (const CLI::ParseError& error) {
        return app.exit(error);
    } catch (const std::exception& error) {
        fmt::print(stderr, "bench: {}\n", error.what());
        return 3;
    }
}
