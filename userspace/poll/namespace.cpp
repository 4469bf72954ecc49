#include "poll/namespace.hpp"

#include "host/file.hpp"
#include "host/proc.hpp"
#include "poll/diag_table.hpp"
#include "poll/proc_table.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <sstream>
#include <thread>

namespace drainwatch {
namespace {

/// Best first; what comes last is /proc.
struct Way {
    std::string_view name;
    DiagForm form;
};
constexpr Way kCompat{"inet_diag_req", DiagForm::compat};
constexpr std::array kWays{Way{"inet_diag_req_v2", DiagForm::v2}, kCompat};
constexpr auto kLastWay = "/proc/net/tcp";

std::string sysctl(const std::string& name)
{
    std::ifstream file("/proc/sys/net/ipv4/" + name);
    std::string text;
    std::getline(file, text);
    return text;
}

/// Of the calling thread's network namespace.
WindowRules read_window_rules()
{
    WindowRules rules;
    std::istringstream rmem(sysctl("tcp_rmem"));
    int least = 0;
    rmem >> least >> rules.rmem_default >> rules.rmem_max;
    std::istringstream scale(sysctl("tcp_adv_win_scale"));
    int adv_win_scale = 1;  // the kernel's own default
    scale >> adv_win_scale;
    rules.adv_win_scale = static_cast<std::int8_t>(adv_win_scale);
    const std::string shrink_window = sysctl("tcp_shrink_window");
    rules.shrink_window = shrink_window == "1";
    rules.may_have_scaling_ratio = !shrink_window.empty();
    return rules;
}

/// In the calling thread's network namespace, where `pid` lives.
Result<Namespace> open_here(std::uint32_t pid, const std::vector<std::string>& without,
                            SideThreads& threads)
{
    Namespace opened;
    opened.rules = read_window_rules();
    opened.connections = ConnectionCount(pid);
    const auto may_use = [&](const Way& way) {
        return std::find(without.begin(), without.end(), way.name) == without.end();
    };
    const std::string directory = fmt::format("/proc/{}/net", pid);
    for (const Way& way : kWays) {
        if (!may_use(way)) {
            continue;
        }
        auto without_locks = ProcTable::open(directory);
        if (auto table =
                DiagTable::open(way.form, may_use(kCompat),
                                without_locks ? std::move(*without_locks) : nullptr, threads)) {
            opened.table = std::move(*table);
            opened.way = way.name;
            opened.tells_windows = true;
            return opened;
        }
    }
    auto table = ProcTable::open(directory);
    if (!table) {
        return tl::unexpected(table.error());
    }
    opened.table = std::move(*table);
    opened.way = kLastWay;
    return opened;
}

}  // namespace

std::vector<std::string> table_names()
{
    std::vector<std::string> names(kWays.size());
    std::transform(kWays.begin(), kWays.end(), names.begin(),
                   [](const Way& way) { return std::string(way.name); });
    return names;
}

Result<Namespace> open_namespace(std::uint32_t pid, const std::vector<std::string>& without,
                                 SideThreads& threads)
{
    if (proc::net_namespace(pid) == proc::net_namespace(static_cast<std::uint32_t>(getpid()))) {
        return open_here(pid, without, threads);
    }
    // A socket belongs to the namespace of the thread that opens it.
    Result<Namespace> result;
    std::thread([&] {
        const std::string path = proc::net_namespace_path(pid);
        const File netns(open(path.c_str(), O_RDONLY | O_CLOEXEC));
        if (!netns || setns(netns.get(), CLONE_NEWNET) != 0) {
            result = tl::unexpected(system_error("enter", path, errno));
            return;
        }
        result = open_here(pid, without, threads);
    }).join();
    return result;
}

}  // namespace drainwatch
