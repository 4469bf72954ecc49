#pragma once

#include "drainwatch/sample.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace drainwatch::cmlog {

/// An IPv4 address some of whose octets may have been struck out: "10.x.x.7".
class AddressPattern {
public:
    [[nodiscard]] static std::optional<AddressPattern> parse(std::string_view text);

    /// Whatever stands where an octet was struck out. An IPv6 endpoint matches if it is a v4-mapped
    /// one; ports do not count.
    [[nodiscard]] bool matches(const Endpoint& endpoint) const;

    [[nodiscard]] std::string text() const;

private:
    std::array<std::optional<std::uint8_t>, 4> octets_;
};

}  // namespace drainwatch::cmlog
