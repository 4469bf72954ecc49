#pragma once

#include "output/event.hpp"
#include "output/time.hpp"
#include "tls/tracker.hpp"

#include <map>
#include <optional>

namespace drainwatch {

/// A fact about a connection's TLS as a line.
[[nodiscard]] Event to_event(const tls::Fact& fact, std::optional<Process> process,
                             std::optional<std::uint32_t> fd, const ClockPair& clocks);

/// Versions by peer, for the summary: {"10.1.2.3": ["TLSv1.0", "TLSv1.2"]}.
[[nodiscard]] Json tls_versions_json(
    const std::map<tls::Tracker::Peer, std::set<tls::Version>>& seen);

}  // namespace drainwatch
