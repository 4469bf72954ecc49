#include "poll/proc_table.hpp"
#include "poll/proc_lines.hpp"

#include <gtest/gtest.h>
#include "drainwatch/socket_track.h"
#include "host/file.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>
#include <cstring>
#include <memory>
#include <random>
#include <set>

namespace drainwatch::proc_table_test {
namespace {

constexpr std::string_view kV4 =
    "   3: 0100007F:223D 0200000A:9C40 01 00000000:00000A17 00:00000000 00000000   501        0 "
    "4711 1 ffff8880045a0000 20 4 30 10 -1";
constexpr std::string_view kListener =
    "   0: 00000000:07E8 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0        0 "
    "1103 1 000000002482406b 100 0 0 10 0                      ";
constexpr std::string_view kV6 =
    "   1: B80D0120000000000000000001000000:223D B80D0120000000000000000002000000:9C40 08 "
    "00000000:00000001 00:00000000 00000000     0        0 0 1 ffff8880045a0000 20 4 30 10 -1";
constexpr std::string_view kMapped =
    "   2: 0000000000000000FFFF00000100007F:223D 0000000000000000FFFF00000200000A:9C40 01 "
    "00000000:FFFFFFFF 00:00000000 00000000     0        0 4294967295 1 ffff8880045a0000 20";

TEST(ProcLine, OfAConnection)
{
    const auto s = parse_proc_line(kV4, AF_INET);
    ASSERT_TRUE(s);
    EXPECT_EQ(to_string(s->local), "127.0.0.1:8765");
    EXPECT_EQ(to_string(s->remote), "10.0.0.2:40000");
    EXPECT_EQ(s->state, 1);
    EXPECT_EQ(s->recv_queue, 0xa17U);
    EXPECT_EQ(s->inode, 4711U);
    EXPECT_FALSE(s->memory);
    EXPECT_FALSE(s->info);
}

TEST(ProcLine, OfAListener)
{
    const auto s = parse_proc_line(kListener, AF_INET);
    ASSERT_TRUE(s);
    EXPECT_EQ(to_string(s->local), "0.0.0.0:2024");
    EXPECT_EQ(s->state, 10);
    EXPECT_EQ(s->recv_queue, 3U);
}

TEST(ProcLine, OfIpv6)
{
    const auto s = parse_proc_line(kV6, AF_INET6);
    ASSERT_TRUE(s);
    EXPECT_EQ(to_string(s->local), "[2001:db8::1]:8765");
    EXPECT_EQ(to_string(s->remote), "[2001:db8::2]:40000");
    EXPECT_EQ(s->state, 8);
    EXPECT_EQ(s->inode, 0U);
    const auto mapped = parse_proc_line(kMapped, AF_INET6);
    ASSERT_TRUE(mapped);
    EXPECT_EQ(mapped->local.family, AF_INET6);
    EXPECT_EQ(to_string(mapped->local), "127.0.0.1:8765");
    EXPECT_EQ(to_string(mapped->remote), "10.0.0.2:40000");
    EXPECT_EQ(mapped->recv_queue, 0xffffffffU);
    EXPECT_EQ(mapped->inode, 0xffffffffU);
}

TEST(ProcLine, WithHighNumbersIsNotShifted)
{
    const auto s = parse_proc_line(
        "12345: 0100007F:223D 0200000A:9C40 01 00000000:00000001 "
        "02:000AFC80 00000000 4294967295        0 4711 1 0 20",
        AF_INET);
    ASSERT_TRUE(s);
    EXPECT_EQ(s->inode, 4711U);
}

TEST(ProcLine, ThatIsNoneIsNothing)
{
    for (
        const std::string_view line : {
            "",
            " ",
            ":",
            "   3:",
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid",
            "   3: 0100007:223D 0200000A:9C40 01 00000000:00000A17 00:00000000 00000000 0 0 4711",
            "   3: 0100007F 0200000A:9C40 01 00000000:00000A17 00:00000000 00000000 0 0 4711",
            "   3: 0100007F: 0200000A:9C40 01 00000000:00000A17 00:00000000 00000000 0 0 4711",
            "   3: 0100007F:1223D 0200000A:9C40 01 00000000:00000A17 00:00000000 00000000 0 0 4711",
            "   3: 0100007F:223D 0200000A:9C40 1FF 00000000:00000A17 00:00000000 00000000 0 0 4711",
            "   3: 0100007F:223D 0200000A:9C40 01 00000000 00:00000000 00000000 0 0 4711",
            "   3: 0100007F:223D 0200000A:9C40 01 0:100000000 00:00000000 00000000 0 0 4711",
            "   3: 0100007F:223D 0200000A:9C40 01 0:1x 00:00000000 00000000 0 0 4711",
            "   3: 0100007F:223D 0200000A:9C40 01 0:1 00:00000000 00000000 0 0 -1",
            "   3: -100007F:223D 0200000A:9C40 01 0:1 00:00000000 00000000 0 0 4711",
        }) {
        EXPECT_FALSE(parse_proc_line(line, AF_INET)) << line;
    }
    EXPECT_FALSE(parse_proc_line(kV4, AF_INET6));
    EXPECT_FALSE(parse_proc_line(kV6, AF_INET));
}

/// In a buffer of exactly that size, so that a sanitizer sees what reads beyond it.
std::optional<SocketState> parse_exactly(std::string_view line, int family)
{
    const auto copy = std::make_unique<char[]>(line.size());
    std::copy(line.begin(), line.end(), copy.get());
    return parse_proc_line({copy.get(), line.size()}, family);
}

TEST(ProcLine, CutOffAnywhereIsNothingOrTheSame)
{
    for (const auto& [line, family] :
         {std::pair{kV4, AF_INET}, {kListener, AF_INET}, {kV6, AF_INET6}, {kMapped, AF_INET6}}) {
        const auto whole = parse_proc_line(line, family);
        ASSERT_TRUE(whole);
        for (std::size_t length = 0; length <= line.size(); length++) {
            const auto part = parse_exactly(line.substr(0, length), family);
            if (part) {
                EXPECT_EQ(part->cookie, whole->cookie) << length;
                EXPECT_EQ(part->recv_queue, whole->recv_queue) << length;
            }
        }
    }
}

TEST(ProcLine, ThatIsGarbageDoesNoHarm)
{
    std::mt19937 random(20261123);
    for (int i = 0; i < 20'000; i++) {
        std::string line(i % 2 == 0 ? kV4 : kV6);
        for (int changes = 0; changes < 1 + i % 5; changes++) {
            line[random() % line.size()] = static_cast<char>(random());
        }
        (void)parse_exactly(line, i % 2 == 0 ? AF_INET : AF_INET6);
    }
}

TEST(ProcCookie, IsThatOfTheAddressesAndPorts)
{
    const auto cookie = [](const std::string& line, int family) {
        const auto s = parse_proc_line(line, family);
        EXPECT_TRUE(s) << line;
        return s ? s->cookie : Cookie{};
    };
    const std::string line(kV4);
    const Cookie first = cookie(line, AF_INET);
    const auto replaced = [&](std::string_view from, std::string_view to) {
        std::string changed = line;
        return changed.replace(changed.find(from), from.size(), to);
    };
    // What changes while it lives
    EXPECT_EQ(first, cookie(replaced("   3:", "  77:"), AF_INET));
    EXPECT_EQ(first, cookie(replaced(" 01 ", " 08 "), AF_INET));
    EXPECT_EQ(first, cookie(replaced("00000A17", "00000000"), AF_INET));
    EXPECT_EQ(first, cookie(replaced("4711", "0"), AF_INET));
    // What makes it another
    std::set<Cookie> all{first};
    all.insert(cookie(replaced("0100007F", "0100007E"), AF_INET));
    all.insert(cookie(replaced("0200000A", "0200000B"), AF_INET));
    all.insert(cookie(replaced("223D", "223E"), AF_INET));
    all.insert(cookie(replaced("9C40", "9C41"), AF_INET));
    all.insert(
        cookie(replaced("0100007F:223D 0200000A:9C40", "0200000A:9C40 0100007F:223D"), AF_INET));
    all.insert(cookie(std::string(kMapped), AF_INET6));
    EXPECT_EQ(all.size(), 7U);
    for (const Cookie c : all) {
        EXPECT_GE(static_cast<std::uint64_t>(c), 1ULL << 52);
        EXPECT_LT(static_cast<std::uint64_t>(c), 1ULL << 53);  // exact in a double
    }
}

/// One that another table has found: it has the kernel's cookie.
TEST(ProcTable, FindsASocketByItsAddressesAndLeavesItItsCookie)
{
    const auto table = ProcTable::open("/proc/self/net");
    ASSERT_TRUE(table) << table.error().message;
    const File listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(listen(listener.get(), 1), 0);
    sockaddr_in address{};
    socklen_t size = sizeof(address);
    ASSERT_EQ(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    const File near(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(connect(near.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    const File far(accept(listener.get(), nullptr, nullptr));
    ASSERT_EQ(send(near.get(), "unread", 6, 0), 6);
    std::vector<SocketState> asked;
    const auto listed = (*table)->list({ntohs(address.sin_port)}, [&](const SocketState& s) {
        if (s.state != DW_TCP_LISTEN && s.local.port == ntohs(address.sin_port)) {
            asked.push_back(s);
        }
    });
    ASSERT_TRUE(listed) << listed.error().message;
    ASSERT_EQ(asked.size(), 1U);
    asked[0].cookie = Cookie{4711};
    asked[0].interface = 7;
    asked.push_back(asked[0]);
    asked[1].remote.port++;
    const auto states = (*table)->query(asked);
    ASSERT_TRUE(states) << states.error().message;
    ASSERT_EQ(states->size(), 2U);
    ASSERT_TRUE((*states)[0]);
    EXPECT_EQ((*states)[0]->cookie, Cookie{4711});
    EXPECT_EQ((*states)[0]->interface, 7U);
    EXPECT_EQ((*states)[0]->recv_queue, 6U);
    EXPECT_FALSE((*states)[1]);
}

/// A listener of our own, found through a child that has ended since: the next life of a target
/// is in the same namespace.
TEST(ProcTable, OutlivesTheProcessByWhichItWasOpened)
{
    const File listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(listen(listener.get(), 1), 0);
    sockaddr_in address{};
    socklen_t size = sizeof(address);
    ASSERT_EQ(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    const pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    const auto table = ProcTable::open("/proc/" + std::to_string(child) + "/net");
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    ASSERT_TRUE(table) << table.error().message;
    for (int i = 0; i < 2; i++) {
        std::vector<SocketState> found;
        const auto listed = (*table)->list({}, [&](const SocketState& s) {
            if (s.local.port == ntohs(address.sin_port)) {
                found.push_back(s);
            }
        });
        ASSERT_TRUE(listed) << listed.error().message;
        ASSERT_EQ(found.size(), 1U);
    }
    EXPECT_EQ((*table)->undecoded(), 0U);
}

}  // namespace
}  // namespace drainwatch::proc_table_test
