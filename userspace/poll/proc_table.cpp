#include "poll/proc_table.hpp"

#include "drainwatch/socket_track.h"

#include <sys/socket.h>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <unordered_map>

namespace drainwatch {
namespace {

constexpr std::size_t kHexDigitsOfWord = 8;

/// Takes the next field, which ends at a blank.
std::string_view next_field(std::string_view& line)
{
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    const auto field = line.substr(0, line.find(' '));
    line.remove_prefix(field.size());
    return field;
}

template <typename T>
std::optional<T> number(std::string_view text, int base)
{
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error != std::errc{} || end != text.data() + text.size()) {
        return std::nullopt;
    }
    return value;
}

/// "0100007F:1F90": the address in words as they lie in memory, the port in host order.
std::optional<Endpoint> parse_endpoint(std::string_view text, int family)
{
    const std::size_t words = family == AF_INET6 ? 4 : 1;
    const std::size_t digits = words * kHexDigitsOfWord;
    if (text.size() <= digits || text[digits] != ':') {
        return std::nullopt;
    }
    Endpoint endpoint;
    endpoint.family = family;
    for (std::size_t i = 0; i < words; i++) {
        const auto word =
            number<std::uint32_t>(text.substr(i * kHexDigitsOfWord, kHexDigitsOfWord), 16);
        if (!word) {
            return std::nullopt;
        }
        std::memcpy(endpoint.address.data() + i * sizeof(*word), &*word, sizeof(*word));
    }
    const auto port = number<std::uint16_t>(text.substr(digits + 1), 16);
    if (!port) {
        return std::nullopt;
    }
    endpoint.port = *port;
    return endpoint;
}

/// FNV-1a over both ends, in a range of its own that JSON readers keep exact. A connection that is
/// made anew between the same ports within one look is told apart by its inode alone.
Cookie cookie_of(const SocketState& socket)
{
    std::uint64_t hash = 0xcbf29ce484222325ULL;
    const auto mix = [&](std::uint8_t byte) { hash = (hash ^ byte) * 0x100000001b3ULL; };
    for (const Endpoint* end : {&socket.local, &socket.remote}) {
        std::for_each(end->address.begin(), end->address.end(), mix);
        mix(static_cast<std::uint8_t>(end->port));
        mix(static_cast<std::uint8_t>(end->port >> 8));
        mix(static_cast<std::uint8_t>(end->family));
    }
    constexpr std::uint64_t kRange = 1ULL << 52;
    return Cookie{kRange | (hash & (kRange - 1))};
}

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

std::optional<SocketState> parse_proc_line(std::string_view line, int family)
{
    next_field(line);  // number of the line
    const auto local = parse_endpoint(next_field(line), family);
    const auto remote = parse_endpoint(next_field(line), family);
    const auto state = number<std::uint8_t>(next_field(line), 16);
    const std::string_view queues = next_field(line);  // tx:rx
    const auto colon = queues.find(':');
    const auto queue = colon == std::string_view::npos
                           ? std::nullopt
                           : number<std::uint32_t>(queues.substr(colon + 1), 16);
    for (int skipped = 0; skipped < 4; skipped++) {
        next_field(line);  // timer, retransmits, uid, probes
    }
    const auto inode = number<std::uint32_t>(next_field(line), 10);
    if (!local || !remote || !state || !queue || !inode) {
        return std::nullopt;
    }
    SocketState socket;
    socket.local = *local;
    socket.remote = *remote;
    socket.state = *state;
    socket.recv_queue = *queue;
    socket.inode = *inode;
    socket.cookie = cookie_of(socket);
    return socket;
}

Result<std::unique_ptr<ProcTable>> ProcTable::open(const std::string& directory)
{
    std::unique_ptr<ProcTable> table(new ProcTable(directory));
    if (!std::ifstream(directory + "/tcp")) {
        return tl::unexpected(system_error("read", directory + "/tcp", errno));
    }
    return table;
}

Result<void> ProcTable::list(const std::vector<std::uint16_t>& ports,
                             const std::function<void(const SocketState&)>& found)
{
    for (const int family : {AF_INET, AF_INET6}) {
        const std::string path = directory_ + (family == AF_INET ? "/tcp" : "/tcp6");
        std::ifstream file(path);
        std::string line;
        if (!std::getline(file, line)) {  // the heading
            if (family == AF_INET6) {
                continue;  // a kernel without IPv6
            }
            return fail("cannot read " + path);
        }
        while (std::getline(file, line)) {
            const auto socket = parse_proc_line(line, family);
            if (!socket) {
                undecoded_++;
            } else if (socket->state == DW_TCP_LISTEN ||
                       (is_connection(socket->state) && has_port(*socket, ports))) {
                found(*socket);
            }
        }
    }
    return {};
}

Result<std::vector<std::optional<SocketState>>> ProcTable::query(
    const std::vector<SocketState>& sockets)
{
    std::unordered_map<Cookie, std::size_t> wanted;
    for (std::size_t i = 0; i < sockets.size(); i++) {
        wanted[sockets[i].cookie] = i;
    }
    std::vector<std::optional<SocketState>> states(sockets.size());
    const auto listed = list({}, [&](const SocketState& socket) {
        const auto at = wanted.find(socket.cookie);
        if (at == wanted.end()) {
            return;
        }
        const std::uint32_t before = sockets[at->second].inode;
        const bool another = before != 0 && socket.inode != 0 && before != socket.inode;
        if (!another) {
            states[at->second] = socket;
        }
    });
    if (!listed) {
        return tl::unexpected(listed.error());
    }
    return states;
}

}  // namespace drainwatch
