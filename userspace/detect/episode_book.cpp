#include "detect/episode_book.hpp"

#include <algorithm>

namespace drainwatch {
namespace {

bool is_warning(Alert::Kind kind)
{
    return kind == Alert::Kind::not_draining || kind == Alert::Kind::falling_behind;
}

bool is_end(Alert::Kind kind)
{
    return kind == Alert::Kind::recovered || kind == Alert::Kind::link_reset ||
           kind == Alert::Kind::ended;
}

}  // namespace

KnownEpisode* EpisodeBook::of(std::uint64_t number)
{
    const auto found = std::find_if(episodes_.rbegin(), episodes_.rend(),
                                    [&](const KnownEpisode& e) { return e.number == number; });
    return found != episodes_.rend() ? &*found : nullptr;
}

bool EpisodeBook::note(const Alert& alert)
{
    if (alert.episode == 0 || alert.kind == Alert::Kind::queue) {
        return false;
    }
    const bool begins = alert.episode > latest_;
    if (begins) {
        latest_ = alert.episode;
        if (episodes_.size() >= kMost) {
            episodes_.pop_front();
        }
        episodes_.push_back({alert.episode, alert.sample, {}, alert.at_ns, 0});
    }
    KnownEpisode* episode = of(alert.episode);
    if (episode == nullptr) {
        return begins;  // others have pushed it out
    }
    if (is_warning(alert.kind) && !episode->first_warning_ns) {
        episode->first_warning_ns = alert.at_ns;
    }
    if (alert.kind == Alert::Kind::link_reset || alert.kind == Alert::Kind::link_replaced) {
        episode->broke_ns = alert.at_ns;
    }
    if (is_end(alert.kind)) {
        episode->over_ns = alert.at_ns;
    }
    return begins;
}

const KnownEpisode* EpisodeBook::find(const std::function<bool(const Endpoint&)>& is_peer,
                                      std::uint64_t at_ns) const
{
    const auto rank = [&](const KnownEpisode& episode) {
        const std::uint64_t broke_ns = episode.broke_ns;
        const bool just_broke =
            broke_ns != 0 && std::max(broke_ns, at_ns) - std::min(broke_ns, at_ns) <= kJustBrokeNs;
        const bool goes_on = episode.over_ns == 0 || episode.over_ns > at_ns;
        return just_broke ? 2 : goes_on ? 1 : 0;
    };
    const KnownEpisode* best = nullptr;
    for (const KnownEpisode& episode : episodes_) {
        const bool is_meant = episode.began_ns <= at_ns &&
                              (episode.over_ns == 0 || episode.over_ns + kStillMeantNs >= at_ns) &&
                              is_peer(episode.socket.remote);
        if (is_meant && (best == nullptr || rank(episode) >= rank(*best))) {
            best = &episode;
        }
    }
    return best;
}

}  // namespace drainwatch
