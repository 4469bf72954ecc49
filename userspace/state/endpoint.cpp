#include "drainwatch/sample.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <algorithm>

namespace drainwatch {
namespace {

constexpr std::array<std::uint8_t, 12> kV4Mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

std::string to_string(const Endpoint& endpoint)
{
    std::array<char, INET6_ADDRSTRLEN> text{};
    const auto* bytes = endpoint.address.data();
    if (endpoint.family == AF_INET6 &&
        !std::equal(kV4Mapped.begin(), kV4Mapped.end(), endpoint.address.begin())) {
        inet_ntop(AF_INET6, bytes, text.data(), text.size());
        return fmt::format("[{}]:{}", text.data(), endpoint.port);
    }
    const std::size_t offset = endpoint.family == AF_INET6 ? kV4Mapped.size() : 0;
    inet_ntop(AF_INET, bytes + offset, text.data(), text.size());
    return fmt::format("{}:{}", text.data(), endpoint.port);
}

}  // namespace drainwatch
