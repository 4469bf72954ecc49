#pragma once

#include "cmlog/address_pattern.hpp"
#include "cmlog/time_zone.hpp"
#include "drainwatch/process.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

/// The log of a Communication Manager.
///
///     line = YYYYMMDD ":" HHMMSSmmm ":" 1*DIGIT ":" process "(" pid ")" ":" LEVEL ":[" [SP] body
///     "]" body = TAG ": pro=" n ", err=" n ", seq=" n ", da1=" val ", da2=" val val  = n "(0x" hex
///     ")" | IPv4, whose octets may be struck out as "x"
///
/// Times are local. Many other bodies are written to the same log.
namespace drainwatch::cmlog {

/// A number, or an address, that a process error is about.
using Value = std::variant<std::uint64_t, AddressPattern>;

/// A body of the form above; IP_PROC_ERR is one.
struct ProcessError {
    std::string tag;
    std::uint64_t pro = 0;
    std::uint64_t err = 0;
    std::uint64_t seq = 0;
    Value da1;
    Value da2;
};

struct Entry {
    LocalTime time;
    Process process;
    std::string level;                  ///< "MED"
    std::optional<ProcessError> error;  ///< nothing: another body
};

/// Nothing for what is no line of this log. Takes any bytes.
[[nodiscard]] std::optional<Entry> parse(std::string_view line);

/// "3", "10.x.x.x"
[[nodiscard]] std::string to_string(const Value& value);

}  // namespace drainwatch::cmlog
