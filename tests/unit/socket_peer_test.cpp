#include "poll/socket_peer.hpp"

#include "host/file.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <vector>

namespace drainwatch::socket_peer_test {
namespace {

using namespace std::chrono_literals;

std::uint64_t inode_of(const File& socket)
{
    struct stat status {};
    EXPECT_EQ(fstat(socket.get(), &status), 0);
    return status.st_ino;
}

std::optional<Endpoint> peer(const File& socket, std::chrono::nanoseconds at_most = 10s)
{
    return socket_peer(static_cast<std::uint32_t>(getpid()),
                       static_cast<std::uint32_t>(socket.get()), inode_of(socket), at_most);
}

/// A socket on loopback, and where it is.
struct Bound {
    File socket;
    sockaddr_in6 address{};
    socklen_t length = 0;

    Bound(int family, int type) : socket(::socket(family, type | SOCK_CLOEXEC, 0))
    {
        address.sin6_family = static_cast<sa_family_t>(family);
        if (family == AF_INET6) {
            address.sin6_addr = in6addr_loopback;
        } else {
            reinterpret_cast<sockaddr_in&>(address).sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        }
        length = family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
        EXPECT_EQ(bind(socket.get(), at(), length), 0);
        EXPECT_EQ(getsockname(socket.get(), at(), &length), 0);
        if (type == SOCK_STREAM) {
            EXPECT_EQ(listen(socket.get(), 1), 0);
        }
    }

    [[nodiscard]] sockaddr* at() { return reinterpret_cast<sockaddr*>(&address); }
    [[nodiscard]] std::string name() const
    {
        return (address.sin6_family == AF_INET6 ? "[::1]:" : "127.0.0.1:") +
               std::to_string(ntohs(address.sin6_port));
    }
};

class SocketPeers : public testing::TestWithParam<std::tuple<int, int>> {};

INSTANTIATE_TEST_SUITE_P(, SocketPeers,
                         testing::Combine(testing::Values(AF_INET, AF_INET6),
                                          testing::Values(SOCK_STREAM, SOCK_DGRAM)));

TEST_P(SocketPeers, IsFoundByInode)
{
    const auto [family, type] = GetParam();
    Bound other(family, type);
    const File socket(::socket(family, type | SOCK_CLOEXEC, 0));
    ASSERT_EQ(connect(socket.get(), other.at(), other.length), 0);
    const auto found = peer(socket);
    ASSERT_TRUE(found);
    EXPECT_EQ(to_string(*found), other.name());
    EXPECT_FALSE(peer(other.socket)) << "not connected";
}

TEST(SocketPeer, IsNotSoughtForLongerThanAsked)
{
    constexpr int kSockets = 8;
    Bound other(AF_INET, SOCK_STREAM);
    ASSERT_EQ(listen(other.socket.get(), kSockets), 0);
    std::vector<File> sockets;
    for (int i = 0; i < kSockets; i++) {
        sockets.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        ASSERT_EQ(connect(sockets.back().get(), other.at(), other.length), 0);
    }
    const auto found_in = [&](std::chrono::nanoseconds at_most) {
        return std::count_if(sockets.begin(), sockets.end(),
                             [&](const File& socket) { return peer(socket, at_most).has_value(); });
    };
    EXPECT_EQ(found_in(10s), kSockets);
    EXPECT_LE(found_in(0s), 1) << "the first line of a table is read, and no more";
}

TEST(SocketPeer, OfAnotherKindIsNone)
{
    std::array<int, 2> ends{};
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    const File one(ends[0]);
    const File two(ends[1]);
    EXPECT_FALSE(peer(one));
}

TEST(SocketPeer, OfAProcessThatHasEndedIsNone)
{
    EXPECT_FALSE(socket_peer(0x7fffffff, 0, 1, 1s));
}

}  // namespace
}  // namespace drainwatch::socket_peer_test
