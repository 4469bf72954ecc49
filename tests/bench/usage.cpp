#include "bench/usage.hpp"

#include "host/proc.hpp"

#include <fmt/format.h>
#include <unistd.h>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <sstream>
#include <string>

namespace drainwatch::bench {
namespace {

constexpr std::uint64_t kKilobyte = 1024;

/// User and kernel time of the children that a process has waited for.
double waited_for_seconds(std::uint32_t pid)
{
    std::ifstream file(fmt::format("/proc/{}/stat", pid));
    std::string line;
    std::getline(file, line);
    const std::size_t after_name = line.rfind(')');
    if (after_name == std::string::npos) {
        return 0;
    }
    std::istringstream rest(line.substr(after_name + 1));
    std::string skipped;
    for (int field = 3; field < 16; field++) {
        rest >> skipped;
    }
    std::uint64_t user = 0;
    std::uint64_t kernel = 0;
    rest >> user >> kernel;
    return static_cast<double>(user + kernel) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

/// By the scheduler's own clock: stat counts in ticks.
double own_seconds(std::uint32_t pid)
{
    double seconds = 0;
    std::error_code gone;
    for (const auto& thread :
         std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid), gone)) {
        std::uint64_t ns = 0;
        std::ifstream(thread.path() / "schedstat") >> ns;
        seconds += static_cast<double>(ns) / 1e9;
    }
    return seconds;
}

/// The numbers of a file of lines "Name: number", added up over the names that are asked for.
template <class... Names>
std::uint64_t sum_of(const std::filesystem::path& path, const Names&... names)
{
    std::uint64_t sum = 0;
    std::ifstream file(path);
    for (std::string word; file >> word;) {
        std::uint64_t value = 0;
        if (((word == names) || ...) && file >> value) {
            sum += value;
        }
        file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
    }
    return sum;
}

}  // namespace

double cpu_seconds_of_tree(pid_t pid)
{
    std::multimap<std::uint32_t, std::uint32_t> children;
    for (const std::uint32_t process : proc::pids()) {
        if (const auto identity = proc::identity(process)) {
            children.emplace(identity->parent, process);
        }
    }
    const auto sum = [&](const auto& self, std::uint32_t of) -> double {
        double seconds = own_seconds(of) + waited_for_seconds(of);
        const auto [begin, end] = children.equal_range(of);
        for (auto child = begin; child != end; ++child) {
            seconds += self(self, child->second);
        }
        return seconds;
    };
    return sum(sum, static_cast<std::uint32_t>(pid));
}

Resident resident_bytes(pid_t pid)
{
    const std::string status = fmt::format("/proc/{}/status", pid);
    return {sum_of(status, "VmRSS:") * kKilobyte, sum_of(status, "RssAnon:") * kKilobyte};
}

std::uint64_t map_bytes(pid_t pid)
{
    std::map<std::uint64_t, std::uint64_t> bytes;  // a map may have two descriptors
    for (const auto& entry :
         std::filesystem::directory_iterator(fmt::format("/proc/{}/fdinfo", pid))) {
        if (const std::uint64_t id = sum_of(entry.path(), "map_id:"); id != 0) {
            bytes[id] = sum_of(entry.path(), "memlock:");
        }
    }
    std::uint64_t sum = 0;
    for (const auto& [id, size] : bytes) {
        sum += size;
    }
    return sum;
}

std::uint64_t kernel_bytes()
{
    return sum_of("/proc/meminfo", "Slab:", "VmallocUsed:", "Percpu:") * kKilobyte;
}

}  // namespace drainwatch::bench
