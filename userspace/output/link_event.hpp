#pragma once

#include "detect/incidents.hpp"
#include "detect/peers.hpp"
#include "output/event.hpp"
#include "output/time.hpp"

namespace drainwatch {

/// What is to be told of more than one socket.
[[nodiscard]] Event to_event(const Incident& incident, const ClockPair& clocks);
[[nodiscard]] Event to_event(const Flapping& flapping, const ClockPair& clocks);

/// What became of each peer's links, for the summary.
[[nodiscard]] Json peers_json(const Peers& peers);

}  // namespace drainwatch
