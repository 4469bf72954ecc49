#include "profile/system_calls.hpp"

#include "drainwatch/profile_abi.h"

#include <fmt/format.h>
#include <algorithm>
#include <iterator>
#include <span>
#include <string_view>

namespace drainwatch {
namespace {

struct SystemCall {
    std::int32_t number;
    std::string_view name;
};

#include "profile/system_calls.inc"  // made from <asm/unistd_64.h> and <asm/unistd_32.h>

}  // namespace

std::string system_call_name(std::int32_t call)
{
    if (call == DW_NO_CALL) {
        return "no system call";
    }
    const bool compat = call >= DW_COMPAT_CALL;
    const std::int32_t number = compat ? call - DW_COMPAT_CALL : call;
    const std::span<const SystemCall> calls =
        compat ? std::span<const SystemCall>(kCalls32) : std::span<const SystemCall>(kCalls64);
    const auto found = std::find_if(calls.begin(), calls.end(), [&](const SystemCall& known) {
        return known.number == number;
    });
    const std::string name =
        found != calls.end() ? std::string(found->name) : fmt::format("system call {}", number);
    return compat ? name + " (32-bit)" : name;
}

}  // namespace drainwatch
