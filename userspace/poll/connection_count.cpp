#include "poll/connection_count.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <array>
#include <sstream>
#include <string>
#include <utility>

namespace drainwatch {
namespace {

constexpr std::size_t kMostBytes = std::size_t{16} << 10;
constexpr std::string_view kTcp = "Tcp: ";

/// The next line about TCP, without its beginning; empty if there is none.
std::string next_tcp_line(std::istream& snmp)
{
    std::string line;
    while (std::getline(snmp, line)) {
        if (line.starts_with(kTcp)) {
            return line.substr(kTcp.size());
        }
    }
    return {};
}

}  // namespace

std::optional<TcpCounters> parse_tcp_counters(std::string_view snmp)
{
    std::istringstream text{std::string(snmp)};
    std::istringstream names(next_tcp_line(text));
    std::istringstream values(next_tcp_line(text));
    TcpCounters counters;
    int found = 0;
    std::string name;
    std::int64_t value = 0;  // MaxConn may be -1
    while (names >> name && values >> value) {
        const auto count = static_cast<std::uint64_t>(value);
        if (name == "ActiveOpens") {
            counters.active_opens = count;
        } else if (name == "PassiveOpens") {
            counters.passive_opens = count;
        } else if (name == "CurrEstab") {
            counters.curr_estab = count;
        } else {
            continue;
        }
        found++;
    }
    constexpr int kWanted = 3;
    return found == kWanted ? std::optional(counters) : std::nullopt;
}

bool has_new_connection(const TcpCounters& before, const TcpCounters& now)
{
    return now.active_opens != before.active_opens || now.passive_opens != before.passive_opens ||
           now.curr_estab > before.curr_estab;
}

ConnectionCount::ConnectionCount(std::uint32_t pid)
    : snmp_(open(fmt::format("/proc/{}/net/snmp", pid).c_str(), O_RDONLY | O_CLOEXEC))
{}

bool ConnectionCount::has_new()
{
    std::array<char, kMostBytes> buffer{};
    const ssize_t length = pread(snmp_.get(), buffer.data(), buffer.size(), 0);
    const auto now = parse_tcp_counters({buffer.data(), length > 0 ? std::size_t(length) : 0});
    if (!now) {
        return true;
    }
    return has_new_connection(std::exchange(last_, *now), *now);
}

}  // namespace drainwatch
