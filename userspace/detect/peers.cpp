#include "detect/peers.hpp"

#include <algorithm>

namespace drainwatch {
namespace {

void add(PeerTotals& sum, const PeerTotals& more)
{
    sum.connections += more.connections;
    sum.resets += more.resets;
    sum.replacements += more.replacements;
    sum.episodes += more.episodes;
    sum.longest_stall_ns = std::max(sum.longest_stall_ns, more.longest_stall_ns);
}

std::uint64_t breaks_of(const PeerTotals& totals)
{
    return totals.resets + totals.replacements;
}

}  // namespace

Peer peer_of(const SocketSample& sample)
{
    const Endpoint remote = on_wire(sample.remote);
    return {sample.netns, remote.family, remote.address};
}

std::string to_string(const Peer& peer)
{
    std::string text = to_string(Endpoint{peer.family, peer.address, 0});
    text.resize(text.rfind(':'));
    return text.starts_with('[') ? text.substr(1, text.size() - 2) : text;
}

Peers::Known& Peers::know(const Peer& peer, std::uint64_t now_ns)
{
    if (peers_.size() >= kMostPeers && !peers_.contains(peer)) {
        make_way();
    }
    Known& known = peers_[peer];
    known.seen_ns = std::max(known.seen_ns, now_ns);
    return known;
}

void Peers::make_way()
{
    std::vector<std::map<Peer, Known>::iterator> by_sign;
    for (auto peer = peers_.begin(); peer != peers_.end(); ++peer) {
        by_sign.push_back(peer);
    }
    const auto last = by_sign.begin() + kMakeWay;
    std::nth_element(by_sign.begin(), last, by_sign.end(), [](const auto& a, const auto& b) {
        return std::pair(a->second.flaps, a->second.seen_ns) <
               std::pair(b->second.flaps, b->second.seen_ns);
    });
    std::for_each(by_sign.begin(), last, [&](const auto& peer) {
        add(others_, peer->second.totals);
        flapping_.erase(peer->first);
        peers_.erase(peer);
    });
}

void Peers::connected(const Peer& peer, std::uint64_t now_ns)
{
    know(peer, now_ns).totals.connections++;
}

void Peers::episode_begun(const Peer& peer, std::uint64_t now_ns)
{
    know(peer, now_ns).totals.episodes++;
}

void Peers::episode_over(const Peer& peer, std::uint64_t duration_ns, std::uint64_t now_ns)
{
    auto& longest_ns = know(peer, now_ns).totals.longest_stall_ns;
    longest_ns = std::max(longest_ns, duration_ns);
}

std::optional<Flapping> Peers::reset(const Peer& peer, std::uint64_t now_ns, bool breaks)
{
    Known& known = know(peer, now_ns);
    known.totals.resets++;
    return breaks ? broke(peer, known, now_ns) : std::nullopt;
}

std::optional<Flapping> Peers::replaced(const Peer& peer, std::uint64_t now_ns)
{
    Known& known = know(peer, now_ns);
    known.totals.replacements++;
    return broke(peer, known, now_ns);
}

std::optional<Flapping> Peers::broke(const Peer& peer, Known& known, std::uint64_t now_ns)
{
    auto& recent = known.recent_breaks_ns;
    recent.push_back(now_ns);
    if (recent.size() > kFlapsFrom) {
        recent.pop_front();
    }
    if (known.flaps) {
        known.breaks++;
        if (known.breaks < 2 * known.breaks_told && now_ns - known.told_ns < kTellAgainNs) {
            return std::nullopt;
        }
        known.breaks_told = known.breaks;
        known.told_ns = now_ns;
        return Flapping{Flapping::State::goes_on, peer, known.breaks, known.since_ns, now_ns};
    }
    if (recent.size() < kFlapsFrom || now_ns - recent.front() > kFlapWindowNs) {
        return std::nullopt;
    }
    known.flaps = true;
    flapping_.insert(peer);
    known.breaks = known.breaks_told = recent.size();
    known.told_ns = now_ns;
    known.since_ns = recent.front();
    return Flapping{Flapping::State::raised, peer, known.breaks, known.since_ns, now_ns};
}

std::vector<Flapping> Peers::quiet(std::uint64_t now_ns)
{
    std::vector<Flapping> over;
    std::erase_if(flapping_, [&](const Peer& peer) {
        Known& known = peers_.at(peer);
        if (now_ns - known.recent_breaks_ns.back() < kFlapWindowNs) {
            return false;
        }
        known.flaps = false;
        known.recent_breaks_ns.clear();
        over.push_back({Flapping::State::over, peer, known.breaks, known.since_ns, now_ns});
        return true;
    });
    return over;
}

std::vector<std::pair<Peer, PeerTotals>> Peers::table() const
{
    std::vector<std::pair<Peer, PeerTotals>> rows;
    for (const auto& [peer, known] : peers_) {
        if (breaks_of(known.totals) != 0 || known.totals.episodes != 0) {
            rows.emplace_back(peer, known.totals);
        }
    }
    std::stable_sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) {
        return std::pair(breaks_of(a.second), a.second.longest_stall_ns) >
               std::pair(breaks_of(b.second), b.second.longest_stall_ns);
    });
    return rows;
}

}  // namespace drainwatch
