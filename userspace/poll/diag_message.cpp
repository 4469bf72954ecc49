#include "poll/diag_message.hpp"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <algorithm>
#include <cstring>

namespace drainwatch {
namespace {

constexpr std::uint8_t kNothingMore = 0;
constexpr std::uint8_t kMemoryAndInfo =
    (1U << (INET_DIAG_SKMEMINFO - 1)) | (1U << (INET_DIAG_INFO - 1));

/// tcpi_rcv_wnd (6.2), which these headers do not have yet, follows tcpi_snd_wnd.
constexpr std::size_t kRcvWndOffset =
    offsetof(tcp_info, tcpi_snd_wnd) + sizeof(tcp_info::tcpi_snd_wnd);

template <typename T>
void append(std::vector<std::byte>& bytes, const T& value)
{
    bytes.resize(bytes.size() + sizeof(value));
    std::memcpy(bytes.data() + bytes.size() - sizeof(value), &value, sizeof(value));
}

/// Nothing if the kernel's structure ends before it.
template <typename T>
std::optional<T> field(std::span<const std::byte> bytes, std::size_t offset)
{
    if (offset + sizeof(T) > bytes.size()) {
        return std::nullopt;
    }
    T value;
    std::memcpy(&value, bytes.data() + offset, sizeof(value));
    return value;
}

#define DW_TCP_INFO(bytes, member) \
    field<decltype(tcp_info::member)>(bytes, offsetof(tcp_info, member))

std::size_t address_length(int family)
{
    return family == AF_INET6 ? sizeof(in6_addr) : sizeof(in_addr);
}

/// The kernel finds a connection by the addresses on the wire. (It turns mapped ones into these
/// itself, but only since 4.5: inet_diag_find_one_icsk().)
SocketState as_on_wire(const SocketState& socket)
{
    SocketState wire = socket;
    wire.local = on_wire(socket.local);
    wire.remote = on_wire(socket.remote);
    return wire.local.family == wire.remote.family ? wire : socket;
}

inet_diag_sockid id_of(const SocketState& socket)
{
    inet_diag_sockid id{};
    id.idiag_sport = htons(socket.local.port);
    id.idiag_dport = htons(socket.remote.port);
    std::memcpy(id.idiag_src, socket.local.address.data(), address_length(socket.local.family));
    std::memcpy(id.idiag_dst, socket.remote.address.data(), address_length(socket.local.family));
    id.idiag_if = socket.interface;
    const auto cookie = static_cast<std::uint64_t>(socket.cookie);
    id.idiag_cookie[0] = static_cast<std::uint32_t>(cookie);
    id.idiag_cookie[1] = static_cast<std::uint32_t>(cookie >> 32);
    return id;
}

std::vector<std::byte> begin_message(DiagForm form, std::uint16_t flags, std::uint32_t sequence)
{
    nlmsghdr header{};
    header.nlmsg_type = form == DiagForm::v2 ? SOCK_DIAG_BY_FAMILY : TCPDIAG_GETSOCK;
    header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    header.nlmsg_seq = sequence;
    std::vector<std::byte> bytes;
    append(bytes, header);
    return bytes;
}

void append_body(std::vector<std::byte>& bytes, DiagForm form, std::uint8_t family,
                 std::uint8_t extensions, std::uint32_t states, const inet_diag_sockid& id)
{
    if (form == DiagForm::v2) {
        inet_diag_req_v2 body{};
        body.sdiag_family = family;
        body.sdiag_protocol = IPPROTO_TCP;
        body.idiag_ext = extensions;
        body.idiag_states = states;
        body.id = id;
        append(bytes, body);
    } else {
        inet_diag_req body{};
        body.idiag_family = family;
        body.idiag_ext = extensions;
        body.id = id;
        body.idiag_states = states;
        append(bytes, body);
    }
}

void end_message(std::vector<std::byte>& bytes)
{
    const auto length = static_cast<std::uint32_t>(bytes.size());
    std::memcpy(bytes.data() + offsetof(nlmsghdr, nlmsg_len), &length, sizeof(length));
    bytes.resize(NLMSG_ALIGN(bytes.size()));
}

Endpoint endpoint(int family, const __be32 (&address)[4], __be16 port)
{
    Endpoint e;
    e.family = family;
    std::memcpy(e.address.data(), address, address_length(family));
    e.port = ntohs(port);
    return e;
}

TcpInfo parse_info(std::span<const std::byte> bytes)
{
    TcpInfo info;
    info.rcv_mss = static_cast<std::uint16_t>(
        std::min<std::uint32_t>(DW_TCP_INFO(bytes, tcpi_rcv_mss).value_or(0), 0xffff));
    // tcpi_snd_wscale and tcpi_rcv_wscale share the byte after tcpi_options.
    constexpr std::size_t kWscaleOffset = offsetof(tcp_info, tcpi_options) + 1;
    info.rcv_wscale = field<std::uint8_t>(bytes, kWscaleOffset).value_or(0) >> 4;
    info.rcv_ssthresh = DW_TCP_INFO(bytes, tcpi_rcv_ssthresh).value_or(0);
    info.last_data_recv_ms = DW_TCP_INFO(bytes, tcpi_last_data_recv).value_or(0);
    info.bytes_received = DW_TCP_INFO(bytes, tcpi_bytes_received);
    info.bytes_acked = DW_TCP_INFO(bytes, tcpi_bytes_acked);
    info.segs_in = DW_TCP_INFO(bytes, tcpi_segs_in);
    info.data_segs_in = DW_TCP_INFO(bytes, tcpi_data_segs_in);
    info.rcv_wnd = field<std::uint32_t>(bytes, kRcvWndOffset);
    return info;
}

std::optional<SocketMemory> parse_memory(std::span<const std::byte> bytes)
{
    const auto at = [&](std::size_t index) {
        return field<std::uint32_t>(bytes, index * sizeof(std::uint32_t));
    };
    const auto rmem = at(SK_MEMINFO_RMEM_ALLOC);
    const auto rcvbuf = at(SK_MEMINFO_RCVBUF);
    if (!rmem || !rcvbuf) {
        return std::nullopt;
    }
    return SocketMemory{*rmem, *rcvbuf, at(SK_MEMINFO_BACKLOG).value_or(0)};
}

}  // namespace

std::vector<std::byte> exact_request(DiagForm form, const SocketState& socket, WithInfo info,
                                     std::uint32_t sequence)
{
    auto bytes = begin_message(form, 0, sequence);
    const SocketState wire = as_on_wire(socket);
    append_body(bytes, form, static_cast<std::uint8_t>(wire.local.family),
                info == WithInfo::yes ? kMemoryAndInfo : kNothingMore, ~0U, id_of(wire));
    end_message(bytes);
    return bytes;
}

std::vector<std::byte> dump_request(DiagForm form, std::uint8_t family, std::uint32_t states,
                                    const std::vector<std::uint16_t>& ports, std::uint32_t sequence)
{
    auto bytes = begin_message(form, NLM_F_DUMP, sequence);
    append_body(bytes, form, family, 0, states, inet_diag_sockid{});
    const auto filter = port_filter(ports);
    if (!filter.empty()) {
        rtattr attribute{};
        attribute.rta_type = INET_DIAG_REQ_BYTECODE;
        attribute.rta_len = static_cast<std::uint16_t>(RTA_LENGTH(filter.size()));
        append(bytes, attribute);
        bytes.insert(bytes.end(), filter.begin(), filter.end());
    }
    end_message(bytes);
    return bytes;
}

/// Each test is a pair of comparisons, ">=" and "<=", each of two words: the second holds the
/// port. A test that fails goes on behind the jump that follows it, where the next one begins, or,
/// from the last one, four bytes behind the end, which means no. One that holds runs into that
/// jump, to the end, which means yes. (inet_diag_bc_run(), net/ipv4/inet_diag.c.)
std::vector<std::byte> port_filter(const std::vector<std::uint16_t>& ports)
{
    constexpr std::uint16_t kOp = sizeof(inet_diag_bc_op);
    constexpr std::uint16_t kTest = 4 * kOp;
    struct Test {
        std::uint8_t at_least;
        std::uint8_t at_most;
        std::uint16_t port;
    };
    std::vector<Test> tests;
    for (const std::uint16_t port : ports) {
        tests.push_back({INET_DIAG_BC_S_GE, INET_DIAG_BC_S_LE, port});
        tests.push_back({INET_DIAG_BC_D_GE, INET_DIAG_BC_D_LE, port});
    }
    std::vector<std::byte> program;
    for (std::size_t left = tests.size(); const Test& test : tests) {
        append(program, inet_diag_bc_op{test.at_least, 2 * kOp, kTest + kOp});
        append(program, inet_diag_bc_op{INET_DIAG_BC_NOP, 0, test.port});
        append(program, inet_diag_bc_op{test.at_most, 2 * kOp, kTest / 2 + kOp});
        append(program, inet_diag_bc_op{INET_DIAG_BC_NOP, 0, test.port});
        left--;
        if (left > 0) {
            const auto rest = static_cast<std::uint16_t>(left * (kTest + kOp));
            append(program, inet_diag_bc_op{INET_DIAG_BC_JMP, kOp, rest});
        }
    }
    return program;
}

std::optional<SocketState> parse_socket(std::span<const std::byte> payload)
{
    const auto message = field<inet_diag_msg>(payload, 0);
    if (!message || (message->idiag_family != AF_INET && message->idiag_family != AF_INET6)) {
        return std::nullopt;
    }
    SocketState socket;
    const inet_diag_sockid& id = message->id;
    socket.local = endpoint(message->idiag_family, id.idiag_src, id.idiag_sport);
    socket.remote = endpoint(message->idiag_family, id.idiag_dst, id.idiag_dport);
    socket.interface = id.idiag_if;
    socket.cookie =
        Cookie{id.idiag_cookie[0] | static_cast<std::uint64_t>(id.idiag_cookie[1]) << 32};
    socket.state = message->idiag_state;
    socket.recv_queue = message->idiag_rqueue;
    socket.inode = message->idiag_inode;
    payload = payload.subspan(NLMSG_ALIGN(sizeof(inet_diag_msg)));
    while (const auto attribute = field<rtattr>(payload, 0)) {
        if (attribute->rta_len < sizeof(rtattr) || attribute->rta_len > payload.size()) {
            break;
        }
        const auto value = payload.subspan(sizeof(rtattr), attribute->rta_len - sizeof(rtattr));
        if (attribute->rta_type == INET_DIAG_INFO) {
            socket.info = parse_info(value);
        } else if (attribute->rta_type == INET_DIAG_SKMEMINFO) {
            socket.memory = parse_memory(value);
        }
        payload =
            payload.subspan(std::min<std::size_t>(RTA_ALIGN(attribute->rta_len), payload.size()));
    }
    return socket;
}

}  // namespace drainwatch
