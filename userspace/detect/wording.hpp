#pragma once

#include "state/reading.hpp"

#include <optional>
#include <string>

/// Words for sentences.
namespace drainwatch {

/// "850 ms", "1.2 s", "4 min"
[[nodiscard]] std::string in_words(double seconds);

/// "34567 bytes wait unread, the oldest for at least 1.2 s"; "517 unread bytes: a TLS 1.2
/// ClientHello, the oldest for 1.2 s"
[[nodiscard]] std::string queue_in_words(const Reading& reading);

/// "; zero window in about 2.3 s", or nothing
[[nodiscard]] std::string forecast_in_words(std::optional<double> zero_in_s);

}  // namespace drainwatch
