#pragma once

#include <cstdint>
#include <string>

namespace drainwatch {

/// "nanosleep"; "nanosleep (32-bit)" for a number with DW_COMPAT_CALL, "no system call" for
/// DW_NO_CALL, "system call 999" for one that the headers did not know when this was built.
[[nodiscard]] std::string system_call_name(std::int32_t call);

}  // namespace drainwatch
