#include "tls/cipher_suite.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <string_view>

namespace drainwatch::tls {
namespace {

struct Suite {
    std::uint16_t number;
    std::string_view name;
};

/// In the order of their numbers.
constexpr auto kSuites = std::to_array<Suite>({
#include "tls/cipher_suites.inc"
});

}  // namespace

std::string cipher_suite_name(std::uint16_t suite)
{
    const auto* found =
        std::lower_bound(kSuites.begin(), kSuites.end(), suite,
                         [](const Suite& s, std::uint16_t number) { return s.number < number; });
    if (found == kSuites.end() || found->number != suite) {
        return fmt::format("0x{:04x}", suite);
    }
    return std::string(found->name);
}

}  // namespace drainwatch::tls
