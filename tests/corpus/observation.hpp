#pragma once

#include "corpus/ledger.hpp"
#include "support/stalls.hpp"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

/// What was seen in a run: by the injector, by tcpdump, and what drainwatch said. Times are
/// CLOCK_REALTIME in nanoseconds.
namespace drainwatch::corpus {

using Json = nlohmann::json;

struct Interval {
    std::uint64_t begin_ns = 0;
    std::uint64_t end_ns = 0;
};

/// A line of drainwatch's output about one link.
struct Said {
    std::string event;
    std::string severity;
    std::uint64_t read_ns = 0;                  ///< when it was read from the pipe
    std::uint64_t written_ns = 0;               ///< its `ts`
    std::optional<std::uint64_t> announced_ns;  ///< zero_window: `announced_at`
    bool estimated = false;                     ///< that is the stamp of the segment before
    std::optional<std::uint64_t> zero_in_ms;    ///< forecast
    Json line{};                                ///< all of it
};

/// A zero window, or a reset, that the watched side put on the wire.
struct Witness {
    std::vector<std::uint64_t> zeros_ns;    ///< each that followed an open window
    std::vector<std::uint64_t> widened_ns;  ///< for each of them, when the peer had last been
                                            ///< allowed to send more than before
    std::vector<std::uint64_t> holds_ns;    ///< each that left no room for the peer's next segment,
                                            ///< after one that did: closed in effect
    std::optional<std::uint64_t> reset_ns;
    std::optional<std::uint64_t> first_unread_ns;  ///< the first byte that the trouble left unread
};

struct Link {
    std::uint16_t peer_port = 0;
    std::uint64_t last_read_ns = 0;  ///< before the trouble, or in it where reads go on; 0: never
    std::vector<Gap> gaps;  ///< between reads, by the reader's own log: those longer than any
                            ///< before, and long ones; the last may be open until the end
    Witness witness;
    std::vector<Said> said;
};

struct Observation {
    std::uint64_t watched_ns = 0;  ///< since when drainwatch watches
    Interval trouble;              ///< as injected; empty if there was none
    std::uint64_t ended_ns = 0;    ///< what comes later is not in here
    std::vector<HostStall> stalls;
    std::string version;       ///< of drainwatch, as it says itself
    std::vector<Said> strays;  ///< warnings, or worse, about none of the links, and those of a
                               ///< drainwatch that was ended, of before the trouble
    std::vector<Link> links;
};

/// For a person who asks why a run was judged as it was.
[[nodiscard]] Json to_json(const Observation& observation);

}  // namespace drainwatch::corpus
