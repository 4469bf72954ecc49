#pragma once

#include "state/reading.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace drainwatch {

/// When to warn: --warn-after, --critical-after, --horizon.
struct Limits {
    std::chrono::nanoseconds warn_after = std::chrono::seconds(1);
    std::chrono::nanoseconds critical_after = std::chrono::seconds(2);
    std::chrono::nanoseconds horizon = std::chrono::seconds(5);
};

enum class Severity { info, warning, critical };

enum class Trouble { not_draining, falling_behind };

/// What a detector found in one reading.
struct Finding {
    Trouble trouble{};
    Severity severity{};
    std::optional<double> zero_in_s;  ///< the forecast, if there is one
    std::string reason;               ///< one plain sentence
};

/// The reader has stopped: by the age of what waits, or by a forecast of zero while it has been
/// silent for longer than is normal for it.
[[nodiscard]] std::optional<Finding> not_draining(const Reading& reading, const Limits& limits);

/// The reader reads, but less than what comes in.
[[nodiscard]] std::optional<Finding> falling_behind(const Reading& reading, const Limits& limits);

/// The zero window that is forecast for this reading, in seconds, whether it is near or not.
[[nodiscard]] std::optional<double> zero_in_s(const Reading& reading);

/// Nothing speaks for trouble, by a margin: an episode may end.
[[nodiscard]] bool is_calm(const Reading& reading, const Limits& limits);

/// A closer look at this socket than once a tick may be worth its cost.
[[nodiscard]] bool is_suspicious(const Reading& reading, const Limits& limits);

}  // namespace drainwatch
