#pragma once

#include "detect/peers.hpp"
#include "drainwatch/sample.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

namespace drainwatch {

/// Connections that wait unread, by whose they are: which of a peer's has waited longest is known
/// without a look at the others, for when thousands stop, thousands connect anew.
class OverdueLinks {
public:
    /// The link of `sample` waits, and has not been read since `since_ns`.
    void note(const SocketSample& sample, std::uint64_t since_ns);
    void forget(Cookie cookie);

    /// Of those that came from the same peer to the same port as `fresh`, and have waited since
    /// before `before_ns`, the one that has for longest.
    [[nodiscard]] std::optional<Cookie> longest(const SocketSample& fresh,
                                                std::uint64_t before_ns) const;

private:
    using Place = std::pair<Peer, std::uint16_t>;  ///< and the local port
    using Wait = std::pair<std::uint64_t, Cookie>;

    std::map<Place, std::set<Wait>> waits_;  ///< none of them empty
    std::unordered_map<Cookie, std::pair<Place, std::uint64_t>> known_;
};

}  // namespace drainwatch
