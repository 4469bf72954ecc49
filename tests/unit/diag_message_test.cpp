#include "poll/diag_message.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <cstring>
#include <memory>
#include <random>

namespace drainwatch::diag_message_test {
namespace {

using Bytes = std::vector<std::byte>;

template <typename T>
T at(const Bytes& bytes, std::size_t offset)
{
    T value{};
    EXPECT_LE(offset + sizeof(value), bytes.size());
    if (offset + sizeof(value) <= bytes.size()) {
        std::memcpy(&value, bytes.data() + offset, sizeof(value));
    }
    return value;
}

template <typename T>
void append(Bytes& bytes, const T& value)
{
    bytes.resize(bytes.size() + sizeof(value));
    std::memcpy(bytes.data() + bytes.size() - sizeof(value), &value, sizeof(value));
}

SocketState a_socket(int family)
{
    SocketState s;
    s.local = {family, {127, 0, 0, 1}, 8765};
    s.remote = {family, {10, 0, 0, 2}, 40000};
    if (family == AF_INET6) {
        for (std::uint8_t i = 0; i < 16; i++) {
            s.local.address[i] = i;
            s.remote.address[i] = static_cast<std::uint8_t>(0xf0 + i);
        }
    }
    s.interface = 3;
    s.cookie = Cookie{0x1122334455667788};
    return s;
}

void expect_id(const inet_diag_sockid& id, const SocketState& socket)
{
    EXPECT_EQ(ntohs(id.idiag_sport), socket.local.port);
    EXPECT_EQ(ntohs(id.idiag_dport), socket.remote.port);
    EXPECT_EQ(std::memcmp(id.idiag_src, socket.local.address.data(), 16), 0);
    EXPECT_EQ(std::memcmp(id.idiag_dst, socket.remote.address.data(), 16), 0);
    EXPECT_EQ(id.idiag_if, 3U);
    EXPECT_EQ(id.idiag_cookie[0], 0x55667788U);  // the low half first: sock_diag_save_cookie()
    EXPECT_EQ(id.idiag_cookie[1], 0x11223344U);
}

/// Before 4.5, the kernel finds a connection of IPv4 by nothing else.
TEST(DiagRequest, ForAMappedAddressIsOneOfIPv4)
{
    SocketState socket = a_socket(AF_INET6);
    for (Endpoint* end : {&socket.local, &socket.remote}) {
        end->address = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 7};
    }
    for (const bool both : {true, false}) {
        const auto body = at<inet_diag_req_v2>(
            exact_request(DiagForm::v2, socket, WithInfo::yes, 1), NLMSG_HDRLEN);
        EXPECT_EQ(body.sdiag_family, both ? AF_INET : AF_INET6);
        EXPECT_EQ(std::memcmp(body.id.idiag_src, socket.local.address.data() + (both ? 12 : 0), 4),
                  0);
        EXPECT_EQ(body.id.idiag_dst[1], 0U);
        socket.remote.address[0] = 0x20;
    }
}

constexpr std::uint8_t kMemoryAndInfo = 1 << (INET_DIAG_INFO - 1) | 1 << (INET_DIAG_SKMEMINFO - 1);

TEST(DiagRequest, ForOneSocket)
{
    for (const int family : {AF_INET, AF_INET6}) {
        const SocketState socket = a_socket(family);
        const Bytes v2 = exact_request(DiagForm::v2, socket, WithInfo::yes, 42);
        const auto header = at<nlmsghdr>(v2, 0);
        EXPECT_EQ(header.nlmsg_len, v2.size());
        EXPECT_EQ(header.nlmsg_len, NLMSG_LENGTH(sizeof(inet_diag_req_v2)));
        EXPECT_EQ(header.nlmsg_type, SOCK_DIAG_BY_FAMILY);
        EXPECT_EQ(header.nlmsg_flags, NLM_F_REQUEST);
        EXPECT_EQ(header.nlmsg_seq, 42U);
        const auto body = at<inet_diag_req_v2>(v2, NLMSG_HDRLEN);
        EXPECT_EQ(body.sdiag_family, family);
        EXPECT_EQ(body.sdiag_protocol, IPPROTO_TCP);
        EXPECT_EQ(body.idiag_ext, kMemoryAndInfo);
        EXPECT_EQ(body.idiag_states, ~0U);
        expect_id(body.id, socket);

        const Bytes compat = exact_request(DiagForm::compat, socket, WithInfo::yes, 43);
        const auto old_header = at<nlmsghdr>(compat, 0);
        EXPECT_EQ(old_header.nlmsg_len, NLMSG_LENGTH(sizeof(inet_diag_req)));
        EXPECT_EQ(old_header.nlmsg_type, TCPDIAG_GETSOCK);
        EXPECT_EQ(old_header.nlmsg_flags, NLM_F_REQUEST);
        EXPECT_EQ(old_header.nlmsg_seq, 43U);
        const auto old = at<inet_diag_req>(compat, NLMSG_HDRLEN);
        EXPECT_EQ(old.idiag_family, family);
        EXPECT_EQ(old.idiag_src_len, 0);
        EXPECT_EQ(old.idiag_dst_len, 0);
        EXPECT_EQ(old.idiag_ext, kMemoryAndInfo);
        EXPECT_EQ(old.idiag_states, ~0U);
        EXPECT_EQ(old.idiag_dbs, 0U);
        expect_id(old.id, socket);
    }
}

TEST(DiagRequest, ForOneSocketWithoutWhatTakesItsLock)
{
    for (const DiagForm form : {DiagForm::v2, DiagForm::compat}) {
        const SocketState socket = a_socket(AF_INET);
        Bytes without = exact_request(form, socket, WithInfo::no, 1);
        const Bytes with = exact_request(form, socket, WithInfo::yes, 1);
        const std::size_t extensions =
            NLMSG_HDRLEN + (form == DiagForm::v2 ? offsetof(inet_diag_req_v2, idiag_ext)
                                                 : offsetof(inet_diag_req, idiag_ext));
        EXPECT_EQ(at<std::uint8_t>(without, extensions), 0);
        without[extensions] = with[extensions];
        EXPECT_EQ(without, with);
    }
}

TEST(DiagRequest, ForAllWithPorts)
{
    const auto filter = port_filter({8765, 80});
    for (const auto& [form, size] : {std::pair{DiagForm::v2, sizeof(inet_diag_req_v2)},
                                     {DiagForm::compat, sizeof(inet_diag_req)}}) {
        const Bytes bytes = dump_request(form, AF_INET6, 0x302, {8765, 80}, 7);
        const auto header = at<nlmsghdr>(bytes, 0);
        EXPECT_EQ(header.nlmsg_flags, NLM_F_REQUEST | NLM_F_DUMP);
        EXPECT_EQ(header.nlmsg_len, bytes.size());
        EXPECT_EQ(bytes.size() % 4, 0U);
        const auto attribute = at<rtattr>(bytes, NLMSG_HDRLEN + size);
        EXPECT_EQ(attribute.rta_type, INET_DIAG_REQ_BYTECODE);
        ASSERT_EQ(attribute.rta_len, RTA_LENGTH(filter.size()));
        const std::size_t begin = NLMSG_HDRLEN + size + sizeof(rtattr);
        ASSERT_EQ(begin + filter.size(), bytes.size());
        EXPECT_EQ(std::memcmp(bytes.data() + begin, filter.data(), filter.size()), 0);
    }
    const auto v2 =
        at<inet_diag_req_v2>(dump_request(DiagForm::v2, AF_INET6, 0x302, {}, 7), NLMSG_HDRLEN);
    EXPECT_EQ(v2.sdiag_family, AF_INET6);
    EXPECT_EQ(v2.idiag_states, 0x302U);
    EXPECT_EQ(v2.idiag_ext, 0);
    const auto old =
        at<inet_diag_req>(dump_request(DiagForm::compat, AF_INET, 0x302, {}, 7), NLMSG_HDRLEN);
    EXPECT_EQ(old.idiag_family, AF_INET);
    EXPECT_EQ(old.idiag_states, 0x302U);
}

TEST(DiagRequest, ForAllWithoutPortsHasNoFilter)
{
    EXPECT_EQ(dump_request(DiagForm::v2, AF_INET, 2, {}, 7).size(),
              NLMSG_LENGTH(sizeof(inet_diag_req_v2)));
    EXPECT_EQ(dump_request(DiagForm::compat, AF_INET, 2, {}, 7).size(),
              NLMSG_LENGTH(sizeof(inet_diag_req)));
}

/// tcpi_rcv_wnd lies behind tcpi_snd_wnd: include/uapi/linux/tcp.h, 6.2.
constexpr std::size_t kInfoBytes = 240;
constexpr std::size_t kRcvWnd = 232;

Bytes full_info()
{
    tcp_info info{};
    info.tcpi_rcv_mss = 1448;
    info.tcpi_snd_wscale = 5;
    info.tcpi_rcv_wscale = 9;
    info.tcpi_rcv_ssthresh = 64088;
    info.tcpi_last_data_recv = 1234;
    info.tcpi_bytes_acked = 0x1234567890;
    info.tcpi_bytes_received = 0x9876543210;
    info.tcpi_segs_in = 777;
    Bytes bytes;
    append(bytes, info);
    bytes.resize(kInfoBytes);
    const std::uint32_t rcv_wnd = 65536;
    std::memcpy(bytes.data() + kRcvWnd, &rcv_wnd, sizeof(rcv_wnd));
    return bytes;
}

Bytes memory_info()
{
    std::uint32_t values[SK_MEMINFO_VARS] = {};
    values[SK_MEMINFO_RMEM_ALLOC] = 4096;
    values[SK_MEMINFO_RCVBUF] = 131072;
    values[SK_MEMINFO_BACKLOG] = 99;
    Bytes bytes;
    append(bytes, values);
    return bytes;
}

Bytes answer()
{
    inet_diag_msg message{};
    message.idiag_family = AF_INET;
    message.idiag_state = 8;
    message.id.idiag_sport = htons(8765);
    message.id.idiag_dport = htons(40000);
    message.id.idiag_src[0] = htonl(0x7f000001);
    message.id.idiag_dst[0] = htonl(0x0a000002);
    message.id.idiag_if = 5;
    message.id.idiag_cookie[0] = 0x55667788;
    message.id.idiag_cookie[1] = 0x11223344;
    message.idiag_rqueue = 1001;
    message.idiag_inode = 4711;
    Bytes bytes;
    append(bytes, message);
    return bytes;
}

/// `length` as it is told, which may be wrong.
void append_attribute(Bytes& bytes, std::uint16_t type, const Bytes& value,
                      std::optional<std::uint16_t> length = std::nullopt)
{
    bytes.resize(NLMSG_ALIGN(bytes.size()));
    rtattr attribute{};
    attribute.rta_type = type;
    attribute.rta_len = length.value_or(static_cast<std::uint16_t>(RTA_LENGTH(value.size())));
    append(bytes, attribute);
    bytes.insert(bytes.end(), value.begin(), value.end());
}

/// In a buffer of exactly that size, so that a sanitizer sees what reads beyond it.
std::optional<SocketState> parse_exactly(const Bytes& bytes, std::size_t length)
{
    const auto copy = std::make_unique<std::byte[]>(length);
    std::copy_n(bytes.begin(), length, copy.get());
    return parse_socket({copy.get(), length});
}

std::optional<SocketState> parse(const Bytes& bytes)
{
    return parse_exactly(bytes, bytes.size());
}

void expect_info(const std::optional<TcpInfo>& info)
{
    ASSERT_TRUE(info);
    EXPECT_EQ(info->rcv_mss, 1448);
    EXPECT_EQ(info->rcv_wscale, 9);
    EXPECT_EQ(info->rcv_ssthresh, 64088U);
    EXPECT_EQ(info->last_data_recv_ms, 1234U);
    EXPECT_EQ(info->bytes_acked, 0x1234567890U);
    EXPECT_EQ(info->bytes_received, 0x9876543210U);
    EXPECT_EQ(info->segs_in, 777U);
    EXPECT_EQ(info->rcv_wnd, 65536U);
}

void expect_memory(const std::optional<SocketMemory>& memory)
{
    ASSERT_TRUE(memory);
    EXPECT_EQ(memory->rmem, 4096U);
    EXPECT_EQ(memory->rcvbuf, 131072U);
    EXPECT_EQ(memory->backlog, 99U);
}

TEST(DiagAnswer, HasEveryField)
{
    for (const bool memory_first : {false, true}) {
        Bytes bytes = answer();
        if (memory_first) {
            append_attribute(bytes, INET_DIAG_SKMEMINFO, memory_info());
            append_attribute(bytes, INET_DIAG_INFO, full_info());
        } else {
            append_attribute(bytes, INET_DIAG_INFO, full_info());
            append_attribute(bytes, INET_DIAG_SKMEMINFO, memory_info());
        }
        const auto s = parse(bytes);
        ASSERT_TRUE(s);
        EXPECT_EQ(to_string(s->local), "127.0.0.1:8765");
        EXPECT_EQ(to_string(s->remote), "10.0.0.2:40000");
        EXPECT_EQ(s->interface, 5U);
        EXPECT_EQ(s->cookie, Cookie{0x1122334455667788});
        EXPECT_EQ(s->state, 8);
        EXPECT_EQ(s->recv_queue, 1001U);
        EXPECT_EQ(s->inode, 4711U);
        expect_info(s->info);
        expect_memory(s->memory);
    }
}

TEST(DiagAnswer, OfIpv6)
{
    Bytes bytes = answer();
    inet_diag_msg message{};
    std::memcpy(&message, bytes.data(), sizeof(message));
    message.idiag_family = AF_INET6;
    message.id.idiag_src[0] = htonl(0x20010db8);
    message.id.idiag_src[3] = htonl(1);
    std::memcpy(bytes.data(), &message, sizeof(message));
    const auto s = parse(bytes);
    ASSERT_TRUE(s);
    EXPECT_EQ(s->local.family, AF_INET6);
    EXPECT_EQ(s->local.address[0], 0x20);
    EXPECT_EQ(s->local.address[15], 1);
    // What is asked for is what was answered.
    const auto id =
        at<inet_diag_req_v2>(exact_request(DiagForm::v2, *s, WithInfo::yes, 1), NLMSG_HDRLEN).id;
    EXPECT_EQ(std::memcmp(&id, &message.id, sizeof(id)), 0);
}

TEST(DiagAnswer, OfAnotherFamilyIsNothing)
{
    Bytes bytes = answer();
    bytes[0] = std::byte{AF_UNIX};
    EXPECT_FALSE(parse(bytes));
}

TEST(DiagAnswer, CutOffAnywhereHasWhatIsThere)
{
    Bytes bytes = answer();
    append_attribute(bytes, INET_DIAG_INFO, full_info());
    append_attribute(bytes, INET_DIAG_SKMEMINFO, memory_info());
    for (std::size_t length = 0; length <= bytes.size(); length++) {
        const auto s = parse_exactly(bytes, length);
        ASSERT_EQ(s.has_value(), length >= sizeof(inet_diag_msg)) << length;
        if (s && s->info) {
            expect_info(s->info);
        }
        if (s && s->memory) {
            expect_memory(s->memory);
        }
    }
}

/// Where the kernel's structure ended: include/uapi/linux/tcp.h.
TEST(DiagAnswer, OfAnOldKernelLacksWhatCameLater)
{
    struct Case {
        std::size_t bytes;
        bool acked, received, segs, data_segs, window;
    };
    for (const Case& c : {
             Case{104, false, false, false, false, false},  // 2.6.32, 3.10
             Case{120, false, false, false, false, false},  // 3.15: pacing
             Case{136, true, true, false, false, false},    // 4.1
             Case{144, true, true, true, false, false},     // 4.2
             Case{160, true, true, true, true, false},      // 4.6
             Case{232, true, true, true, true, false},      // 5.4
             Case{240, true, true, true, true, true},       // 6.2
         }) {
        Bytes info = full_info();
        info.resize(c.bytes);
        Bytes bytes = answer();
        append_attribute(bytes, INET_DIAG_INFO, info);
        const auto s = parse(bytes);
        ASSERT_TRUE(s && s->info) << c.bytes;
        EXPECT_EQ(s->info->last_data_recv_ms, 1234U) << c.bytes;
        EXPECT_EQ(s->info->rcv_ssthresh, 64088U) << c.bytes;
        EXPECT_EQ(s->info->bytes_acked.has_value(), c.acked) << c.bytes;
        EXPECT_EQ(s->info->bytes_received.has_value(), c.received) << c.bytes;
        EXPECT_EQ(s->info->segs_in.has_value(), c.segs) << c.bytes;
        EXPECT_EQ(s->info->data_segs_in.has_value(), c.data_segs) << c.bytes;
        EXPECT_EQ(s->info->rcv_wnd.has_value(), c.window) << c.bytes;
        EXPECT_FALSE(s->memory);
    }
}

TEST(DiagAnswer, OfTcpInfoAtEveryLengthIsRead)
{
    for (std::size_t length = 0; length <= kInfoBytes; length++) {
        Bytes info = full_info();
        info.resize(length);
        Bytes bytes = answer();
        append_attribute(bytes, INET_DIAG_INFO, info);
        EXPECT_TRUE(parse(bytes)->info) << length;
    }
}

TEST(DiagAnswer, MemoryTooShortIsNone)
{
    Bytes bytes = answer();
    Bytes memory = memory_info();
    memory.resize(SK_MEMINFO_RCVBUF * sizeof(std::uint32_t) + 3);
    append_attribute(bytes, INET_DIAG_SKMEMINFO, memory);
    EXPECT_FALSE(parse(bytes)->memory);
}

TEST(DiagAnswer, AttributesThatAreNotKnownAreSkippedWhateverTheirLength)
{
    for (std::size_t length = 0; length < 9; length++) {
        Bytes bytes = answer();
        append_attribute(bytes, 999, Bytes(length));
        append_attribute(bytes, INET_DIAG_SKMEMINFO, memory_info());
        append_attribute(bytes, INET_DIAG_CONG, Bytes(length));
        append_attribute(bytes, INET_DIAG_INFO, full_info());
        const auto s = parse(bytes);
        ASSERT_TRUE(s) << length;
        expect_info(s->info);
        expect_memory(s->memory);
    }
}

TEST(DiagAnswer, AnAttributeOfImpossibleLengthEndsTheMessage)
{
    for (const std::uint16_t length : {0, 1, 3, 1000, 65535}) {
        Bytes bytes = answer();
        append_attribute(bytes, INET_DIAG_SKMEMINFO, memory_info());
        append_attribute(bytes, INET_DIAG_INFO, full_info(), length);
        const auto s = parse(bytes);
        ASSERT_TRUE(s) << length;
        EXPECT_FALSE(s->info) << length;
        expect_memory(s->memory);
    }
}

TEST(DiagAnswer, ThatIsGarbageDoesNoHarm)
{
    std::mt19937 random(20261123);
    Bytes whole = answer();
    append_attribute(whole, INET_DIAG_INFO, full_info());
    append_attribute(whole, INET_DIAG_SKMEMINFO, memory_info());
    for (int i = 0; i < 20'000; i++) {
        Bytes bytes = whole;
        for (int changes = 0; changes < 1 + i % 7; changes++) {
            bytes[random() % bytes.size()] = static_cast<std::byte>(random());
        }
        (void)parse_exactly(bytes, random() % (bytes.size() + 1));
        Bytes noise(random() % 400);
        for (std::byte& byte : noise) {
            byte = static_cast<std::byte>(random());
        }
        if (!noise.empty()) {
            noise[0] = std::byte{AF_INET};
        }
        (void)parse(noise);
    }
}

}  // namespace
}  // namespace drainwatch::diag_message_test
