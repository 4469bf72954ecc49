// measure EXECUTABLE: what watching 16 links among 20,000 sockets costs, in both tiers, and how
// soon it begins. Prints a page of Markdown.
#include "crowd.hpp"
#include "support/process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

namespace drainwatch::measure {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kComm = "measured";
constexpr unsigned kLinks = 16;
constexpr unsigned kSockets = 20'000;
constexpr int kStarts = 11;
constexpr int kWatchSeconds = 30;

double ms(Clock::duration d)
{
    return std::chrono::duration<double, std::milli>(d).count();
}

std::vector<std::string> watch_command(const std::string& executable, const std::string& tier,
                                       const std::string& port, int seconds)
{
    return {executable, "watch", "--process", kComm,  "--port",     port,
            "--tier",   tier,    "--output",  "json", "--duration", fmt::format("{}s", seconds)};
}

/// From the spawn of the program to its first line, which it prints when everything is watched.
double start_ms(const std::vector<std::string>& command)
{
    std::array<int, 2> out{};
    if (pipe2(out.data(), O_CLOEXEC) != 0) {
        throw std::runtime_error("no pipe");
    }
    const auto began = Clock::now();
    const auto process = live::Process::spawn(command, out[1]);
    close(out[1]);
    char byte = 0;
    const bool came = read(out[0], &byte, 1) == 1;
    const auto took = Clock::now() - began;
    close(out[0]);
    if (!came) {
        throw std::runtime_error("drainwatch did not start");
    }
    return ms(took);
}

struct Starts {
    double median_ms = 0;
    double worst_ms = 0;
};

Starts measure_starts(const std::vector<std::string>& command)
{
    std::vector<double> took(kStarts);
    std::generate(took.begin(), took.end(), [&] { return start_ms(command); });
    std::sort(took.begin(), took.end());
    return {took[kStarts / 2], took.back()};
}

double cpu_of_children_s()
{
    rusage usage{};
    getrusage(RUSAGE_CHILDREN, &usage);
    const auto seconds = [](const timeval& t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// Share of one core that the process takes, its start and end included.
double measure_cpu(const std::vector<std::string>& command)
{
    const double before = cpu_of_children_s();
    const auto began = Clock::now();
    live::Process process = live::Process::spawn(command);
    if (process.wait((kWatchSeconds + 10) * 1000) != 0) {
        throw std::runtime_error("drainwatch raised something, or could not watch");
    }
    return (cpu_of_children_s() - before) / (ms(Clock::now() - began) / 1e3);
}

void run(const std::string& executable)
{
    const Crowd crowd(kComm, kLinks, kSockets);
    const std::string port = std::to_string(crowd.port());
    utsname host{};
    uname(&host);
    fmt::print(
        "# Measurements\n\n"
        "Made by `scripts/measure`, on Linux {} with {} cores: {} links of 240 messages a\n"
        "second, and {} sockets in all, 8,000 of them the watched process's. The CPU is that\n"
        "of the process, user and system, over {} s; what BPF programs take in the context of\n"
        "others is not in it.\n\n",
        host.release, std::thread::hardware_concurrency(), kLinks, kSockets, kWatchSeconds);
    fmt::print("| | measured | goal |\n|---|---|---|\n");
    fmt::print("| static executable | {:.1f} MB | 8 MB |\n",
               static_cast<double>(std::filesystem::file_size(executable)) / 1e6);
    for (const std::string tier : {"bpf", "poll"}) {
        const Starts starts = measure_starts(watch_command(executable, tier, port, 10));
        fmt::print(
            "| tier {}: from its call to `start`, median and worst of {} | {:.0f}, {:.0f} ms "
            "| 300 ms |\n",
            tier, kStarts, starts.median_ms, starts.worst_ms);
        std::fflush(stdout);
        const double cpu = measure_cpu(watch_command(executable, tier, port, kWatchSeconds));
        fmt::print("| tier {}: CPU, of one core | {:.2f} % | {} |\n", tier, 100 * cpu,
                   tier == "poll" ? "1 %" : "");
        std::fflush(stdout);
    }
}

}  // namespace
}  // namespace drainwatch::measure

int main(int argc, char** argv)
{
    try {
        if (argc != 2) {
            fmt::print(stderr, "measure EXECUTABLE\n");
            return 3;
        }
        drainwatch::measure::run(argv[1]);
        return 0;
    } catch (const std::exception& error) {
        fmt::print(stderr, "measure: {}\n", error.what());
        return 3;
    }
}
