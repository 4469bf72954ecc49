#include "poll/proc_lines.hpp"

#include "drainwatch/sample.hpp"

#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

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

}  // namespace

Cookie cookie_of_addresses(const SocketState& socket)
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
    socket.cookie = cookie_of_addresses(socket);
    return socket;
}

Result<void> for_each_line(const File& file, const std::function<bool(std::string_view)>& found)
{
    constexpr std::size_t kChunk = std::size_t{64} << 10;
    std::vector<char> buffer(kChunk);
    std::string rest;  // the beginning of a line whose end is not read yet
    bool heading = true;
    if (lseek(file.get(), 0, SEEK_SET) != 0) {
        return tl::unexpected(system_error("rewind", "/proc/net/tcp", errno));
    }
    while (true) {
        const ssize_t length = read(file.get(), buffer.data(), buffer.size());
        if (length < 0 && errno == EINTR) {
            continue;
        }
        if (length < 0) {
            return tl::unexpected(system_error("read", "/proc/net/tcp", errno));
        }
        if (length == 0) {
            return {};
        }
        rest.append(buffer.data(), static_cast<std::size_t>(length));
        std::size_t begin = 0;
        for (auto end = rest.find('\n'); end != std::string::npos; end = rest.find('\n', begin)) {
            const auto line = std::string_view(rest).substr(begin, end - begin);
            if (!std::exchange(heading, false) && !found(line)) {
                return {};
            }
            begin = end + 1;
        }
        rest.erase(0, begin);
    }
}

}  // namespace drainwatch
