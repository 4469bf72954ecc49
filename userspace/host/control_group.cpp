#include "host/control_group.hpp"

#include "host/text_file.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <optional>
#include <sstream>
#include <string_view>

namespace drainwatch::proc {
namespace {

/// Enough of a file of some lines.
constexpr std::size_t kMostBytes = 4096;

/// The value behind `key` in lines such as "nr_throttled 12".
std::optional<std::uint64_t> value_of(const std::string& text, std::string_view key)
{
    std::istringstream words(text);
    std::string name;
    for (std::uint64_t value = 0; words >> name >> value;) {
        if (name == key) {
            return value;
        }
    }
    return std::nullopt;
}

/// The folders of the process's group for this controller and of those above it, in the hierarchy
/// that has it: that of version 1, or else the unified one.
std::vector<std::string> folders(std::uint32_t pid, std::string_view controller)
{
    // "0::/user.slice" of the unified hierarchy, "4:cpu,cpuacct:/x" of one of version 1
    std::istringstream lines(read_text(fmt::format("/proc/{}/cgroup", pid)));
    std::string folder;
    std::size_t root = 0;
    for (std::string line; std::getline(lines, line);) {
        const auto first = line.find(':');
        const auto second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) {
            continue;
        }
        const std::string own = "," + line.substr(first + 1, second - first - 1) + ",";
        const bool has_it = own.find(fmt::format(",{},", controller)) != std::string::npos;
        if (!has_it && (own != ",," || !folder.empty())) {
            continue;
        }
        const std::string mount =
            has_it ? fmt::format("/sys/fs/cgroup/{}", controller) : "/sys/fs/cgroup";
        root = mount.size();
        folder = mount + line.substr(second + 1);
        if (has_it) {
            break;
        }
    }
    std::vector<std::string> found;
    if (folder.find("/../") != std::string::npos || folder.ends_with("/..")) {
        return found;
    }
    while (!folder.empty() && folder.size() >= root) {
        if (folder.back() != '/') {
            found.push_back(folder);
        }
        const auto last = folder.rfind('/');
        folder.resize(last == std::string::npos ? 0 : last);
    }
    return found;
}

}  // namespace

std::vector<QuotaPeriods> quota_periods(std::uint32_t pid)
{
    std::vector<QuotaPeriods> found;
    for (const std::string& folder : folders(pid, "cpu")) {
        const std::string text = read_text(folder + "/cpu.stat", kMostBytes);
        const auto periods = value_of(text, "nr_periods");
        const auto throttled = value_of(text, "nr_throttled");
        if (periods && throttled && *periods != 0) {
            found.push_back({folder, *periods, *throttled});
        }
    }
    return found;
}

bool is_frozen(std::uint32_t pid)
{
    const auto groups = folders(pid, "freezer");
    return std::any_of(groups.begin(), groups.end(), [](const std::string& folder) {
        return read_text(folder + "/freezer.state", kMostBytes).starts_with("FROZEN") ||
               value_of(read_text(folder + "/cgroup.events", kMostBytes), "frozen") == 1;
    });
}

}  // namespace drainwatch::proc
