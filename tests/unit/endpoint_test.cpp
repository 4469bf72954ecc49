#include "drainwatch/sample.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

namespace drainwatch::endpoint_test {
namespace {

TEST(Endpoint, IsWrittenLikeInUrls)
{
    EXPECT_EQ(to_string({AF_INET, {127, 0, 0, 1}, 8765}), "127.0.0.1:8765");
    EXPECT_EQ(to_string({AF_INET, {255, 255, 255, 255}, 65535}), "255.255.255.255:65535");
    EXPECT_EQ(to_string({AF_INET6, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 8765}),
              "[::1]:8765");
    EXPECT_EQ(
        to_string({AF_INET6, {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xab, 1}, 443}),
        "[2001:db8::ab01]:443");
}

TEST(Endpoint, MappedIpv4IsShownAsThePeerSeesIt)
{
    EXPECT_EQ(to_string({AF_INET6, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3}, 80}),
              "10.1.2.3:80");
    // One bit off is not mapped.
    EXPECT_EQ(to_string({AF_INET6, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 10, 1, 2, 3}, 80}),
              "[::fffe:a01:203]:80");
}

TEST(SocketSample, UnreadBytesAreWithoutFinAndAcrossTheWrap)
{
    struct Case {
        std::uint32_t data_end, copied_seq, unread;
    };
    for (const Case& c : {Case{1500, 1000, 500}, Case{1000, 1000, 0}, Case{1000, 1001, 0},
                          Case{0x10, 0xfffffff0, 32}, Case{0xfffffff0, 0x10, 0}}) {
        SocketSample s;
        s.data_end = c.data_end;
        s.window.copied_seq = c.copied_seq;
        s.window.rcv_nxt = c.data_end + 1;
        EXPECT_EQ(s.unread_bytes(), c.unread) << c.data_end << " - " << c.copied_seq;
    }
}

}  // namespace
}  // namespace drainwatch::endpoint_test
