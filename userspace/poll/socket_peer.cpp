#include "poll/socket_peer.hpp"

#include "host/clock.hpp"
#include "poll/proc_lines.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <array>
#include <string>

namespace drainwatch {
namespace {

struct Table {
    const char* name;
    int family;
};
constexpr std::array kTables{Table{"tcp", AF_INET}, Table{"tcp6", AF_INET6}, Table{"udp", AF_INET},
                             Table{"udp6", AF_INET6}};

}  // namespace

std::optional<Endpoint> socket_peer(std::uint32_t pid, std::uint64_t inode,
                                    std::chrono::nanoseconds at_most)
{
    const std::uint64_t ends_ns = monotonic_ns() + static_cast<std::uint64_t>(at_most.count());
    std::optional<SocketState> found;
    for (const Table& table : kTables) {
        const std::string path = fmt::format("/proc/{}/net/{}", pid, table.name);
        const File file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
        if (found || !file) {
            continue;
        }
        // What cannot be read is not there.
        (void)for_each_line(file, [&](std::string_view line) {
            const auto socket = parse_proc_line(line, table.family);
            if (socket && socket->inode == inode) {
                found = socket;
            }
            return !found && monotonic_ns() < ends_ns;
        });
    }
    return found && found->remote.port != 0 ? std::optional(found->remote) : std::nullopt;
}

}  // namespace drainwatch
