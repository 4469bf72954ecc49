// bench PART...: what watching costs. Each part prints a table, and keeps what it measured as JSON.
#include "bench/parts.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <map>

namespace drainwatch::bench {
namespace {

using Part = Json (*)(const Settings&);

const std::map<std::string, Part> kParts{
    {"kernel", measure_kernel},
    {"throughput", measure_throughput},
    {"rivals", compare_rivals},
    {"scale", measure_scale},
};

struct Options {
    std::vector<std::string> parts;
    Settings settings;
    std::string executable;
    std::filesystem::path results;
};

int run(const Options& options)
{
    if (!options.executable.empty()) {
        // NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread yet
        setenv("DRAINWATCH_EXECUTABLE", options.executable.c_str(), 1);
    }
    for (const std::string& name : options.parts) {
        const Json result = kParts.at(name)(options.settings);
        if (!options.results.empty()) {
            std::filesystem::create_directories(options.results);
            std::ofstream(options.results / (name + ".json")) << result.dump(1) << '\n';
        }
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
    app.add_option("part", options.parts, "what to measure")
        ->required()
        ->check(CLI::IsMember(kParts));
    app.add_option("--only", options.settings.only, "only this kind of traffic; repeatable");
    app.add_option("--rounds", options.settings.rounds, "how often each block is repeated");
    app.add_option("--watch-option", options.settings.watch_options,
                   "further option of drainwatch; repeatable");
    app.add_option("--executable", options.executable, "the drainwatch to measure");
    app.add_option("--results", options.results, "directory for a JSON file of each part");
    try {
        app.parse(argc, argv);
        return run(options);
    } catch (const CLI::ParseError& error) {
        return app.exit(error);
    } catch (const std::exception& error) {
        fmt::print(stderr, "bench: {}\n", error.what());
        return 3;
    }
}
