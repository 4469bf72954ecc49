#include "poll/proc_table.hpp"

#include "drainwatch/socket_track.h"
#include "poll/proc_lines.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <algorithm>
#include <cerrno>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

namespace drainwatch {
namespace {

bool is_connection(std::uint8_t state)
{
    return state == DW_TCP_ESTABLISHED || state == DW_TCP_FIN_WAIT1 || state == DW_TCP_FIN_WAIT2 ||
           dw_fin_received(state);
}

bool has_port(const SocketState& socket, const std::vector<std::uint16_t>& ports)
{
    return ports.empty() || std::any_of(ports.begin(), ports.end(), [&](std::uint16_t port) {
               return port == socket.local.port || port == socket.remote.port;
           });
}

}  // namespace

Result<std::unique_ptr<ProcTable>> ProcTable::open(const std::string& directory)
{
    File v4(::open((directory + "/tcp").c_str(), O_RDONLY | O_CLOEXEC));
    if (!v4) {
        return tl::unexpected(system_error("read", directory + "/tcp", errno));
    }
    File v6(::open((directory + "/tcp6").c_str(), O_RDONLY | O_CLOEXEC));
    return std::unique_ptr<ProcTable>(new ProcTable(std::move(v4), std::move(v6)));
}

Result<void> ProcTable::list_family(int family, const std::vector<std::uint16_t>& ports,
                                    const std::function<void(const SocketState&)>& found)
{
    const File& file = family == AF_INET ? v4_ : v6_;
    if (!file) {
        return {};
    }
    return for_each_line(file, [&](std::string_view line) {
        const auto socket = parse_proc_line(line, family);
        if (!socket) {
            undecoded_++;
        } else if (socket->state == DW_TCP_LISTEN ||
                   (is_connection(socket->state) && has_port(*socket, ports))) {
            found(*socket);
        }
        return true;
    });
}

Result<void> ProcTable::list(const std::vector<std::uint16_t>& ports,
                             const std::function<void(const SocketState&)>& found)
{
    for (const int family : {AF_INET, AF_INET6}) {
        if (auto listed = list_family(family, ports, found); !listed) {
            return listed;
        }
    }
    return {};
}

Result<std::vector<std::optional<SocketState>>> ProcTable::query(
    const std::vector<SocketState>& sockets)
{
    std::unordered_multimap<Cookie, std::size_t> wanted;  // addresses may be another's by now
    std::set<int> families;                               // each costs milliseconds
    for (std::size_t i = 0; i < sockets.size(); i++) {
        wanted.emplace(cookie_of_addresses(sockets[i]), i);
        families.insert(sockets[i].local.family);
    }
    std::vector<std::optional<SocketState>> states(sockets.size());
    const auto take = [&](const SocketState& socket) {
        const auto [begin, end] = wanted.equal_range(socket.cookie);
        for (auto at = begin; at != end; ++at) {
            const SocketState& asked = sockets[at->second];
            const bool another =
                asked.inode != 0 && socket.inode != 0 && asked.inode != socket.inode;
            if (!another) {
                SocketState& state = states[at->second].emplace(socket);
                state.cookie = asked.cookie;
                state.interface = asked.interface;
            }
        }
    };
    // The table changes while it is read, part by part, and what is in it may be skipped then.
    constexpr int kLooks = 2;
    for (int look = 0; look < kLooks; look++) {
        for (const int family : families) {
            if (auto listed = list_family(family, {}, take); !listed) {
                return tl::unexpected(listed.error());
            }
        }
        if (std::all_of(states.begin(), states.end(),
                        [](const auto& s) { return s.has_value(); })) {
            break;
        }
    }
    return states;
}

}  // namespace drainwatch
