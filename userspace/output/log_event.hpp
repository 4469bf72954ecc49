#pragma once

#include "cmlog/reader.hpp"
#include "detect/episode_book.hpp"
#include "output/event.hpp"
#include "output/time.hpp"

namespace drainwatch {

/// Does it say that a client connected anew, and its old connection was given up? (pro=7204,
/// err=203, da2 the client's address.)
[[nodiscard]] const cmlog::AddressPattern* client_of_stale_link(const cmlog::ProcessError& error);

/// A line of the log as an event; `episode`: what it is about, if that is known.
[[nodiscard]] Event to_event(const cmlog::Logged& logged, const KnownEpisode* episode,
                             const ClockPair& clocks);

}  // namespace drainwatch
