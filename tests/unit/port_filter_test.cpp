/// The kernel's own steps through a port filter: inet_diag_bc_audit(), valid_cc() and
/// inet_diag_bc_run() of net/ipv4/inet_diag.c.
#include "poll/diag_message.hpp"

#include <gtest/gtest.h>
#include <linux/inet_diag.h>
#include <cstring>
#include <numeric>

namespace drainwatch::port_filter_test {
namespace {

using Program = std::vector<std::byte>;

inet_diag_bc_op op_at(const Program& program, std::size_t at)
{
    inet_diag_bc_op op{};
    EXPECT_LE(at + sizeof(op), program.size()) << "the kernel would read beyond the program";
    if (at + sizeof(op) <= program.size()) {
        std::memcpy(&op, program.data() + at, sizeof(op));
    }
    return op;
}

/// A jump must lead to where an instruction begins. `left`: bytes behind it.
bool is_target(const Program& program, int left)
{
    int len = static_cast<int>(program.size());
    std::size_t at = 0;
    while (len >= 0) {
        if (left > len) {
            return false;
        }
        if (left == len) {
            return true;
        }
        const auto op = op_at(program, at);
        if (op.yes < 4 || op.yes & 3) {
            return false;
        }
        len -= op.yes;
        at += op.yes;
    }
    return false;
}

bool audit(const Program& program)
{
    if (program.size() < sizeof(inet_diag_bc_op)) {
        return false;
    }
    int len = static_cast<int>(program.size());
    std::size_t at = 0;
    while (len > 0) {
        const auto op = op_at(program, at);
        int least = sizeof(op);
        switch (op.code) {
            case INET_DIAG_BC_S_GE:
            case INET_DIAG_BC_S_LE:
            case INET_DIAG_BC_D_GE:
            case INET_DIAG_BC_D_LE:
                least += static_cast<int>(sizeof(op));
                if (len < least) {
                    return false;
                }
                break;
            case INET_DIAG_BC_JMP:
            case INET_DIAG_BC_NOP: break;
            default: return false;  // newer kernels know more; 2.6.32 does not
        }
        if (op.code != INET_DIAG_BC_NOP) {
            if (op.no < least || op.no > len + 4 || op.no & 3) {
                return false;
            }
            if (op.no < len && !is_target(program, len - op.no)) {
                return false;
            }
        }
        if (op.yes < least || op.yes > len + 4 || op.yes & 3) {
            return false;
        }
        at += op.yes;
        len -= op.yes;
    }
    return len == 0;
}

bool matches(const Program& program, std::uint16_t local, std::uint16_t remote)
{
    int len = static_cast<int>(program.size());
    std::size_t at = 0;
    for (int steps = 0; len > 0; steps++) {
        if (steps > 1000) {
            ADD_FAILURE() << "it does not end";
            return false;
        }
        const auto op = op_at(program, at);
        const auto port = [&] { return op_at(program, at + sizeof(op)).no; };
        bool yes = true;
        switch (op.code) {
            case INET_DIAG_BC_NOP: break;
            case INET_DIAG_BC_JMP: yes = false; break;
            case INET_DIAG_BC_S_GE: yes = local >= port(); break;
            case INET_DIAG_BC_S_LE: yes = local <= port(); break;
            case INET_DIAG_BC_D_GE: yes = remote >= port(); break;
            case INET_DIAG_BC_D_LE: yes = remote <= port(); break;
            default: ADD_FAILURE() << "unknown operation"; return false;
        }
        const int step = yes ? op.yes : op.no;
        len -= step;
        at += static_cast<std::size_t>(step);
    }
    return len == 0;
}

std::vector<std::uint16_t> many_ports(std::size_t count)
{
    std::vector<std::uint16_t> ports(count);
    std::iota(ports.begin(), ports.end(), static_cast<std::uint16_t>(8765));
    return ports;
}

TEST(PortFilter, OfNoPortsIsNone)
{
    EXPECT_TRUE(port_filter({}).empty());
}

TEST(PortFilter, IsTakenByTheKernelAndPicksThesePortsAtEitherEnd)
{
    std::vector<std::vector<std::uint16_t>> lists{
        {8765}, {1}, {65535}, {1, 65535}, {65535, 1}, {80, 80}, {443, 80, 8765}, {32768, 32767}};
    for (std::size_t count = 1; count <= 16; count++) {
        lists.push_back(many_ports(count));
    }
    for (const auto& ports : lists) {
        const Program program = port_filter(ports);
        ASSERT_TRUE(audit(program)) << ports.size() << " ports";
        const auto wanted = [&](std::uint16_t port) {
            return std::find(ports.begin(), ports.end(), port) != ports.end();
        };
        std::vector<std::uint16_t> probes{0, 1, 2, 79, 80, 81, 32767, 32768, 40000, 65534, 65535};
        for (const std::uint16_t port : ports) {
            for (const int near : {-1, 0, 1}) {
                probes.push_back(static_cast<std::uint16_t>(port + near));
            }
        }
        for (const std::uint16_t local : probes) {
            for (const std::uint16_t remote : probes) {
                ASSERT_EQ(matches(program, local, remote), wanted(local) || wanted(remote))
                    << ports.size() << " ports, " << local << " <- " << remote;
            }
        }
    }
}

TEST(PortFilter, FitsIntoItsAttribute)
{
    EXPECT_LT(port_filter(many_ports(16)).size(), 4096U);
}

}  // namespace
}  // namespace drainwatch::port_filter_test
