#include "poll/namespace.hpp"

#include "host/net_namespaces.hpp"
#include "host/proc.hpp"
#include "poll/diag_table.hpp"
#include "poll/proc_table.hpp"

#include <fmt/format.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <fstream>
#include <memory>
#include <sstream>
#include <utility>

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

/// What belongs to a namespace, before any of it is asked: a thread that is begun to ask would, in
/// there, hold the namespace for as long as it lives.
struct Opened {
    Namespace space;
    std::vector<std::pair<Way, Result<std::unique_ptr<DiagTable>>>> tables;  ///< best first
    Result<std::unique_ptr<ProcTable>> last;
};

bool may_use(const Way& way, const std::vector<std::string>& without)
{
    return std::find(without.begin(), without.end(), way.name) == without.end();
}

/// In the calling thread's network namespace, where `pid` lives.
Opened open_here(std::uint32_t pid, const std::vector<std::string>& without, SideThreads& threads)
{
    const std::string directory = fmt::format("/proc/{}/net", pid);
    Opened opened;
    opened.space.rules = read_window_rules();
    opened.space.connections = ConnectionCount(pid);
    for (const Way& way : kWays) {
        if (may_use(way, without)) {
            auto without_locks = ProcTable::open(directory);
            opened.tables.emplace_back(
                way, DiagTable::open(way.form, without_locks ? std::move(*without_locks) : nullptr,
                                     threads));
        }
    }
    opened.last = ProcTable::open(directory);
    return opened;
}

/// In another network namespace: a socket belongs to that of the thread that opens it.
Result<Opened> open_there(std::uint32_t pid, const std::vector<std::string>& without,
                          SideThreads& threads)
{
    auto opening = begin_task([&]() -> Result<Opened> {
        if (auto entered = enter_net_namespace(proc::net_namespace_path(pid)); !entered) {
            return tl::unexpected(entered.error());
        }
        return open_here(pid, without, threads);
    });
    return opening ? opening->get() : tl::unexpected(opening.error());
}

Result<Namespace> choose_table(Opened opened, bool may_use_compat)
{
    Namespace& space = opened.space;
    for (auto& [way, table] : opened.tables) {
        if (table && (*table)->choose_walks(may_use_compat)) {
            space.table = std::move(*table);
            space.way = way.name;
            space.tells_windows = true;
            return std::move(space);
        }
    }
    if (!opened.last) {
        return tl::unexpected(opened.last.error());
    }
    space.table = std::move(*opened.last);
    space.way = kLastWay;
    return std::move(space);
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
    const bool is_ours =
        proc::net_namespace(pid) == proc::net_namespace(static_cast<std::uint32_t>(getpid()));
    auto opened = is_ours ? Result<Opened>(open_here(pid, without, threads))
                          : open_there(pid, without, threads);
    if (!opened) {
        return tl::unexpected(opened.error());
    }
    return choose_table(std::move(*opened), may_use(kCompat, without));
}

}  // namespace drainwatch
