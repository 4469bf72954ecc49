#include "drainwatch/sample.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <algorithm>

namespace drainwatch {
namespace {

constexpr std::array<std::uint8_t, 12> kV4Mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

Endpoint on_wire(const Endpoint& endpoint)
{
    const auto& address = endpoint.address;
    if (endpoint.family != AF_INET6 ||
        !std::equal(kV4Mapped.begin(), kV4Mapped.end(), address.begin())) {
        return endpoint;
    }
    Endpoint v4{AF_INET, {}, endpoint.port};
    std::copy(address.begin() + kV4Mapped.size(), address.end(), v4.address.begin());
    return v4;
}

std::string to_string(const Endpoint& endpoint)
{
    const Endpoint wire = on_wire(endpoint);
    const bool is_v6 = wire.family == AF_INET6;
    std::array<char, INET6_ADDRSTRLEN> text{};
    inet_ntop(is_v6 ? AF_INET6 : AF_INET, wire.address.data(), text.data(), text.size());
    return is_v6 ? fmt::format("[{}]:{}", text.data(), wire.port)
                 : fmt::format("{}:{}", text.data(), wire.port);
}

}  // namespace drainwatch
