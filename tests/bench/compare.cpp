// drainwatch beside what people have on a host already: what each costs on the same traffic, and
// what each says, and when, about the same stall.
#include "bench/parts.hpp"
#include "bench/rivals.hpp"
#include "bench/statistics.hpp"
#include "bench/tool.hpp"
#include "bench/traffic.hpp"
#include "bench/usage.hpp"
#include "support/capture.hpp"
#include "support/sender.hpp"
#include "support/target.hpp"

#include <fmt/format.h>
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <thread>

namespace drainwatch::bench {
namespace {

using namespace std::chrono_literals;

constexpr int kRounds = 6;
constexpr auto kBlock = 300ms;
constexpr int kStalls = 3;
/// A link at the most that a CTI link carries, read at once for this long, then for so long not.
constexpr auto kHealthy = 3s;
constexpr auto kStall = 9s;

/// Where tcpdump writes; gone with this.
class CaptureFile {
public:
    CaptureFile() : path_(fmt::format("/tmp/drainwatch-bench-{}.pcap", getpid())) {}
    ~CaptureFile()
    {
        std::error_code ignored;
        std::filesystem::remove(path_, ignored);
    }
    CaptureFile(const CaptureFile&) = delete;
    CaptureFile& operator=(const CaptureFile&) = delete;

    [[nodiscard]] const std::string& path() const { return path_; }

private:
    std::string path_;
};

/// A block with it, between two without it.
void run_round(Traffic& traffic, const Rival& rival, std::vector<double>& ratios,
               std::vector<double>& cores)
{
    traffic.start();
    double without = traffic.measure(kBlock);
    double with = 0;
    traffic.stop();
    {
        const Tool tool(rival.command);
        std::this_thread::sleep_for(rival.start);
        traffic.start();
        const double cpu_before = cpu_seconds_of_tree(tool.pid());
        const auto began = std::chrono::steady_clock::now();
        with = traffic.measure(2 * kBlock);
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
        cores.push_back((cpu_seconds_of_tree(tool.pid()) - cpu_before) / took.count());
        traffic.stop();
    }
    traffic.start();
    without += traffic.measure(kBlock);
    traffic.stop();
    ratios.push_back(2 * with / without);
}

/// What each costs on a ping-pong as fast as it goes.
Json compare_costs(const Settings& settings)
{
    const std::string comm = watched_comm();
    Traffic traffic(traffic_kind("pingpong"), comm);
    const CaptureFile file;
    const int rounds = settings.rounds > 0 ? settings.rounds : kRounds;
    Json rows = Json::array();
    fmt::print("{:<28} {:>12}  {}\n", "on a ping-pong", "CPU, cores", "throughput to nothing");
    for (const Rival& rival : rivals(comm, traffic.port(), file.path())) {
        std::vector<double> ratios;
        std::vector<double> cores;
        for (int i = 0; i < rounds; i++) {
            run_round(traffic, rival, ratios, cores);
        }
        const Estimate ratio = estimate_median(ratios);
        const double cpu = estimate_median(cores).median;
        fmt::print("{:<28} {:>12.3f}  {:.3f} [{:.3f}, {:.3f}]\n", rival.name, cpu, ratio.median,
                   ratio.low, ratio.high);
        std::fflush(stdout);
        rows.push_back({{"tool", rival.name}, {"cores", cpu}, {"ratio", to_json(ratio)}});
    }
    return rows;
}

/// What the rivals did in one stall: milliseconds from the last read on, and cores.
struct Told {
    std::vector<double> after_ms;
    std::string line;  ///< the last of those by which it told
    std::vector<double> cores;
};

struct StallStory {
    std::map<std::string, Told> told;
    std::vector<double> zero_ms;  ///< the zero window itself, by the witness
};

/// All of them watch the same stall of the same link.
void watch_stall(StallStory& story)
{
    const std::string comm = watched_comm();
    live::Target target(comm, {}, live::Target::one_connection(live::read_all));
    const CaptureFile file;
    live::Capture witness(target.port());
    live::Sender sender(target.port(), {});
    sender.start();
    const auto contestants = rivals(comm, target.port(), file.path());
    std::vector<std::unique_ptr<Tool>> tools;
    auto start = 0ms;
    for (const Rival& rival : contestants) {
        tools.push_back(std::make_unique<Tool>(rival.command));
        start = std::max(start, rival.start);
    }
    std::this_thread::sleep_for(start);
    std::vector<double> cpu_before(tools.size());
    std::transform(tools.begin(), tools.end(), cpu_before.begin(),
                   [](const auto& tool) { return cpu_seconds_of_tree(tool->pid()); });
    const auto began = std::chrono::steady_clock::now();
    std::this_thread::sleep_for(kHealthy);
    const std::uint64_t stalled_ns = live::realtime_ns();
    target.control().hold = true;
    std::this_thread::sleep_for(kStall);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    const auto after_ms = [&](std::uint64_t at_ns) {
        return static_cast<double>(at_ns - stalled_ns) / 1e6;
    };
    for (std::size_t i = 0; i < tools.size(); i++) {
        Told& told = story.told[contestants[i].name];
        told.cores.push_back((cpu_seconds_of_tree(tools[i]->pid()) - cpu_before[i]) / took.count());
        if (const auto line = contestants[i].told(tools[i]->lines(), stalled_ns)) {
            told.after_ms.push_back(after_ms(line->read_ns));
            told.line = line->text;
        }
    }
    tools.clear();
    witness.stop();
    if (const auto zero = witness.first_zero_ns(sender.port())) {
        story.zero_ms.push_back(after_ms(*zero));
    }
    target.control().quit = true;
}

Json median_or_null(const std::vector<double>& samples)
{
    return samples.empty() ? Json(nullptr) : Json(estimate_median(samples).median);
}

Json compare_stories(const Settings& settings)
{
    StallStory story;
    const int stalls = settings.rounds > 0 ? settings.rounds : kStalls;
    for (int i = 0; i < stalls; i++) {
        watch_stall(story);
    }
    Json rows = Json::array();
    fmt::print("{:<28} {:>12}  {}\n", "about one stall", "CPU, cores", "ms from the last read");
    for (const Rival& rival : rivals("", 0, "")) {
        const Told& told = story.told[rival.name];
        const bool always = static_cast<int>(told.after_ms.size()) == stalls;
        const Json after_ms = always ? median_or_null(told.after_ms) : Json(nullptr);
        const double cpu = estimate_median(told.cores).median;
        fmt::print("{:<28} {:>12.4f}  {}\n", rival.name, cpu,
                   after_ms.is_null() ? "nothing" : fmt::format("{:.0f}", after_ms.get<double>()));
        rows.push_back({{"tool", rival.name},
                        {"cores", cpu},
                        {"told_after_ms", after_ms},
                        {"line", told.line},
                        {"rule", rival.rule}});
    }
    const Json zero_ms = median_or_null(story.zero_ms);
    fmt::print("the zero window itself came after {} ms\n", zero_ms.dump());
    std::fflush(stdout);
    return {{"stalls", stalls}, {"zero_window_after_ms", zero_ms}, {"tools", rows}};
}

}  // namespace

Json compare_rivals(const Settings& settings)
{
    Json result;
    const auto wanted = [&](const char* what) {
        return settings.only.empty() || settings.only.front() == what;
    };
    if (wanted("cost")) {
        result["cost"] = compare_costs(settings);
    }
    if (wanted("stall")) {
        result["stall"] = compare_stories(settings);
    }
    return result;
}

}  // namespace drainwatch::bench
