#include "detect/overdue_links.hpp"

#include <algorithm>

namespace drainwatch {

void OverdueLinks::note(const SocketSample& sample, std::uint64_t since_ns)
{
    const auto known = known_.find(sample.cookie);
    if (known != known_.end() && known->second.second == since_ns) {
        return;
    }
    forget(sample.cookie);
    const Place place{peer_of(sample), sample.local.port};
    known_.emplace(sample.cookie, std::pair(place, since_ns));
    waits_[place].emplace(since_ns, sample.cookie);
}

void OverdueLinks::forget(Cookie cookie)
{
    const auto known = known_.find(cookie);
    if (known == known_.end()) {
        return;
    }
    const auto& [place, since_ns] = known->second;
    const auto at = waits_.find(place);
    at->second.erase({since_ns, cookie});
    if (at->second.empty()) {
        waits_.erase(at);
    }
    known_.erase(known);
}

std::optional<Cookie> OverdueLinks::longest(const SocketSample& fresh,
                                            std::uint64_t before_ns) const
{
    const auto at = waits_.find({peer_of(fresh), fresh.local.port});
    if (at == waits_.end()) {
        return std::nullopt;
    }
    const auto other = std::find_if(at->second.begin(), at->second.end(),
                                    [&](const Wait& wait) { return wait.second != fresh.cookie; });
    return other != at->second.end() && other->first < before_ns ? std::optional(other->second)
                                                                 : std::nullopt;
}

}  // namespace drainwatch
