#include "cmlog/address_pattern.hpp"

#include <sys/socket.h>
#include <algorithm>
#include <charconv>

namespace drainwatch::cmlog {
namespace {

bool is_struck_out(std::string_view octet)
{
    return !octet.empty() &&
           std::all_of(octet.begin(), octet.end(), [](char c) { return c == 'x' || c == 'X'; });
}

std::optional<std::uint8_t> number(std::string_view octet)
{
    std::uint8_t value = 0;
    const char* const end = octet.data() + octet.size();
    const auto [rest, error] = std::from_chars(octet.data(), end, value);
    return error == std::errc{} && rest == end ? std::optional(value) : std::nullopt;
}

}  // namespace

std::optional<AddressPattern> AddressPattern::parse(std::string_view text)
{
    AddressPattern pattern;
    for (std::size_t i = 0; i < pattern.octets_.size(); i++) {
        const bool last = i + 1 == pattern.octets_.size();
        const std::size_t dot = last ? text.size() : text.find('.');
        if (dot == std::string_view::npos) {
            return std::nullopt;
        }
        const std::string_view octet = text.substr(0, dot);
        pattern.octets_[i] = number(octet);
        if (!pattern.octets_[i] && !is_struck_out(octet)) {
            return std::nullopt;
        }
        text.remove_prefix(std::min(dot + 1, text.size()));
    }
    return pattern;
}

bool AddressPattern::matches(const Endpoint& endpoint) const
{
    const Endpoint wire = on_wire(endpoint);
    if (wire.family == AF_INET6) {
        return false;
    }
    return std::equal(octets_.begin(), octets_.end(), wire.address.begin(),
                      [](const std::optional<std::uint8_t>& octet, std::uint8_t byte) {
                          return !octet || *octet == byte;
                      });
}

std::string AddressPattern::text() const
{
    std::string text;
    for (const auto& octet : octets_) {
        text += (text.empty() ? "" : ".") + (octet ? std::to_string(*octet) : "x");
    }
    return text;
}

}  // namespace drainwatch::cmlog
