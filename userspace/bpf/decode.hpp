#pragma once

#include "drainwatch/abi.h"
#include "drainwatch/sample.hpp"

#include <cstddef>
#include <optional>
#include <span>
#include <variant>

namespace drainwatch {

/// A record of the ring, typed; nothing if it has not the size or kind of any.
struct SocketRecord {
    SocketNotice notice;
    std::uint32_t slot = 0;
};
using Record = std::variant<SocketRecord, ProcessNotice>;

[[nodiscard]] std::optional<Record> decode_record(std::span<const std::byte> bytes);

}  // namespace drainwatch
