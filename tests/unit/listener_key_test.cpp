#include "drainwatch/listener_key.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <array>
#include <cstring>
#include <string>
#include <vector>

namespace listener_key_test {
namespace {

dw_listener_key v4(const char* address)
{
    dw_listener_key key{};
    dw_listener_set_v4(&key, inet_addr(address));
    return key;
}

dw_listener_key v6(const char* address)
{
    dw_listener_key key{};
    inet_pton(AF_INET6, address, key.address);
    return key;
}

std::string text(const dw_listener_key& key)
{
    std::array<char, INET6_ADDRSTRLEN> buffer{};
    return inet_ntop(AF_INET6, key.address, buffer.data(), buffer.size());
}

/// All the places where a listener may be.
std::vector<std::string> places(dw_listener_key key)
{
    std::vector<std::string> found{text(key)};
    while (dw_listener_widen(&key)) {
        found.push_back(text(key));
    }
    return found;
}

using Places = std::vector<std::string>;

TEST(ListenerKey, AnIPv4AddressIsTheMappedOne)
{
    const auto mapped = v6("::ffff:10.1.2.3");
    const auto plain = v4("10.1.2.3");
    EXPECT_EQ(std::memcmp(&plain, &mapped, sizeof(plain)), 0);
}

TEST(ListenerKey, IPv4WidensToAnyOfIPv4ThenToAny)
{
    EXPECT_EQ(places(v4("10.1.2.3")), (Places{"::ffff:10.1.2.3", "::ffff:0.0.0.0", "::"}));
    EXPECT_EQ(places(v4("0.0.0.0")), (Places{"::ffff:0.0.0.0", "::"}));
}

TEST(ListenerKey, IPv6WidensToAny)
{
    EXPECT_EQ(places(v6("2001:db8::1")), (Places{"2001:db8::1", "::"}));
    EXPECT_EQ(places(v6("::1")), (Places{"::1", "::"}));
    EXPECT_EQ(places(v6("::")), Places{"::"});
}

TEST(ListenerKey, NoMoreStepsThanSaid)
{
    EXPECT_EQ(places(v4("127.0.0.1")).size(), std::size_t{DW_LISTENER_STEPS});
}

TEST(ListenerKey, OnlyMappedAddressesAreIPv4)
{
    EXPECT_TRUE(dw_listener_is_v4(std::data({v4("0.0.0.0")})));
    EXPECT_TRUE(dw_listener_is_v4(std::data({v6("::ffff:1.2.3.4")})));
    EXPECT_FALSE(dw_listener_is_v4(std::data({v6("::")})));
    EXPECT_FALSE(dw_listener_is_v4(std::data({v6("64:ff9b::1.2.3.4")})));
}

TEST(ListenerKey, WideningKeepsPortAndNamespace)
{
    auto key = v4("127.0.0.1");
    key.port = 8765;
    key.netns = 7;
    while (dw_listener_widen(&key)) {
        EXPECT_EQ(key.port, 8765U);
        EXPECT_EQ(key.netns, 7U);
    }
}

}  // namespace
}  // namespace listener_key_test
