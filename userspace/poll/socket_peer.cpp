#include "poll/socket_peer.hpp"

#include "host/clock.hpp"
#include "poll/proc_lines.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/xattr.h>
#include <algorithm>
#include <array>
#include <string>

namespace drainwatch {
namespace {

struct Table {
    std::string_view protocol;  ///< as the kernel calls it: struct proto
    const char* name;
    int family;
};
constexpr std::array kTables{Table{"TCP", "tcp", AF_INET}, Table{"TCPv6", "tcp6", AF_INET6},
                             Table{"UDP", "udp", AF_INET}, Table{"UDPv6", "udp6", AF_INET6}};

/// A socket's only attribute; "UNIX", "NETLINK", ... for others.
std::string protocol_of(std::uint32_t tid, std::uint32_t fd)
{
    std::array<char, 32> name{};
    const std::string path = fmt::format("/proc/{}/fd/{}", tid, fd);
    const ssize_t length =
        getxattr(path.c_str(), "system.sockprotoname", name.data(), name.size() - 1);
    return length > 0 ? name.data() : "";
}

}  // namespace

std::optional<Endpoint> socket_peer(std::uint32_t tid, std::uint32_t fd, std::uint64_t inode,
                                    std::chrono::nanoseconds at_most)
{
    const std::uint64_t ends_ns = monotonic_ns() + static_cast<std::uint64_t>(at_most.count());
    const std::string protocol = protocol_of(tid, fd);
    const auto* const table = std::find_if(
        kTables.begin(), kTables.end(), [&](const Table& one) { return one.protocol == protocol; });
    if (table == kTables.end()) {
        return std::nullopt;
    }
    const File file(
        open(fmt::format("/proc/{}/net/{}", tid, table->name).c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) {
        return std::nullopt;
    }
    std::optional<SocketState> found;
    // What cannot be read is not there.
    (void)for_each_line(file, [&](std::string_view line) {
        const auto socket = parse_proc_line(line, table->family);
        if (socket && socket->inode == inode) {
            found = socket;
        }
        return !found && monotonic_ns() < ends_ns;
    });
    return found && found->remote.port != 0 ? std::optional(found->remote) : std::nullopt;
}

}  // namespace drainwatch
