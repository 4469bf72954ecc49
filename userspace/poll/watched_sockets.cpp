#include "poll/watched_sockets.hpp"

#include "drainwatch/socket_track.h"
#include "host/clock.hpp"
#include "poll/tick.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <utility>

namespace drainwatch {
namespace {

/// All watched sockets are asked for once a tick, or less often where they are many: a share of
/// one CPU at most. Those with unread data may take more.
constexpr std::uint64_t kSweepShare = 200;
constexpr std::uint64_t kCloseLookShare = 50;
/// /proc/net/tcp has to be read as a whole, which takes milliseconds where there is no socket at
/// all.
constexpr std::uint64_t kProcShare = 33;

}  // namespace

WatchedSockets::WatchedSockets(const SourceOptions& options, const PolledTargets& targets,
                               bool tells_windows)
    : targets_(targets),
      tick_ns_(static_cast<std::uint64_t>(options.tick.count())),
      warn_after_ns_(static_cast<std::uint64_t>(options.warn_after.count())),
      sweeping_(almost_a_tick_ns(options), tells_windows ? kSweepShare : kProcShare),
      looking_at_lively_(almost_a_tick_ns(options), tells_windows ? kSweepShare : kProcShare),
      looking_closely_(0, tells_windows ? kCloseLookShare : kProcShare)
{}

PolledSocket& WatchedSockets::add(const PolledSocket& socket)
{
    const Cookie cookie{socket.slot().cookie};
    return sockets_.try_emplace(cookie, socket).first->second;
}

std::vector<Cookie> WatchedSockets::ask_all()
{
    std::vector<Cookie> asked;
    for (const auto& [cookie, socket] : sockets_) {
        asked.push_back(cookie);
    }
    lively_.clear();
    sweeping_.run([&] { poll(asked); });
    looking_at_lively_.run([] {});  // these were among them
    return asked;
}

/// All of them are asked once in a while. In between, those to which data came lately, for one of
/// these may have stopped; and more closely those that are followed, unless all is told of them.
std::vector<Cookie> WatchedSockets::ask_some(const std::vector<Cookie>& followed,
                                             const std::unordered_set<Cookie>& all_told)
{
    ended_.clear();
    followed_ = {followed.begin(), followed.end()};
    if (sweeping_.is_due()) {
        return ask_all();
    }
    std::vector<Cookie> asked;
    const bool asks_lively = looking_at_lively_.is_due() && !lively_.empty();
    if (!asks_lively && !looking_closely_.is_due()) {
        return asked;
    }
    for (const Cookie cookie : followed_) {
        if (sockets_.contains(cookie) && !all_told.contains(cookie)) {
            asked.push_back(cookie);
        }
    }
    if (asks_lively) {
        std::copy_if(lively_.begin(), lively_.end(), std::back_inserter(asked), [&](Cookie cookie) {
            return sockets_.contains(cookie) && !followed_.contains(cookie);
        });
    }
    Pace& pace = asks_lively ? looking_at_lively_ : looking_closely_;
    pace.run([&] { poll(asked); });
    return asked;
}

void WatchedSockets::poll(const std::vector<Cookie>& cookies)
{
    std::unordered_map<std::uint32_t, std::vector<SocketState>> asked;
    for (const Cookie cookie : cookies) {
        const PolledSocket& socket = sockets_.at(cookie);
        asked[socket.slot().netns].push_back(socket.state());
    }
    for (const auto& [netns, of_namespace] : asked) {
        // The second answer says how far the reader was at the first: see PolledSocket.
        SocketTable& table = *targets_.namespaces().at(netns).table;
        const auto with_unread_data = ask(table, of_namespace);
        if (!with_unread_data.empty()) {
            (void)ask(table, with_unread_data);
        }
    }
}

std::vector<SocketState> WatchedSockets::ask(SocketTable& table,
                                             const std::vector<SocketState>& sockets)
{
    std::vector<SocketState> with_unread_data;
    const auto states = table.query(sockets);
    if (!states) {
        failed_++;
        return with_unread_data;
    }
    answers_ += states->size();
    const std::uint64_t now_ns = monotonic_ns();
    for (std::size_t i = 0; i < sockets.size(); i++) {
        const auto& state = (*states)[i];
        const bool closed_by_its_process = state && state->inode == 0 && sockets[i].inode != 0;
        if (!state || state->cookie != sockets[i].cookie || closed_by_its_process) {
            end(sockets[i].cookie, now_ns);
            continue;
        }
        accepted_ = accepted_ || sockets[i].inode != state->inode;
        PolledSocket& socket = sockets_.at(state->cookie);
        const std::uint32_t end_before = socket.slot().data_end;
        socket.update(*state, warn_after_ns_, now_ns);
        if (socket.slot().data_end != end_before) {
            lively_.insert(state->cookie);
        }
        if (state->recv_queue > 0 && state->info) {
            with_unread_data.push_back(*state);
        }
    }
    return with_unread_data;
}

/// The socket is in no table any more. If its descriptor is still open, it was not closed here: it
/// was reset, or given up, unless this side had said its last word. What had come just before the
/// last look may have been read since.
void WatchedSockets::end(Cookie cookie, std::uint64_t now_ns)
{
    const auto ended = sockets_.find(cookie);
    const PolledSocket& socket = ended->second;
    const SocketSample last = socket.sample();
    const bool was_left =
        !last.unread.empty() && last.taken_ns - last.unread.front().at_ns >= tick_ns_;
    if (was_left && may_send(socket.state()) &&
        targets_.descriptors().still_held(socket.state().inode)) {
        notices_.emplace_back(SocketNotice{SocketNotice::Kind::reset_received, cookie, now_ns,
                                           last.unread_bytes(), 0});
    }
    ended_.emplace(cookie, last);
    sockets_.erase(ended);
}

std::vector<Cookie> WatchedSockets::idle(const std::unordered_set<Cookie>& filled) const
{
    std::vector<std::pair<std::uint64_t, Cookie>> idle;
    for (const auto& [cookie, socket] : sockets_) {
        if (dw_unread_bytes(&socket.slot()) == 0 && !filled.contains(cookie) &&
            !followed_.contains(cookie)) {
            idle.emplace_back(dw_active_ns(&socket.slot()), cookie);
        }
    }
    std::sort(idle.begin(), idle.end(), std::greater<>());
    std::vector<Cookie> cookies;
    std::transform(idle.begin(), idle.end(), std::back_inserter(cookies),
                   [](const auto& entry) { return entry.second; });
    return cookies;
}

std::optional<SocketSample> WatchedSockets::sample(Cookie cookie) const
{
    if (const auto socket = sockets_.find(cookie); socket != sockets_.end()) {
        return socket->second.sample();
    }
    const auto ended = ended_.find(cookie);
    return ended != ended_.end() ? std::optional(ended->second) : std::nullopt;
}

std::unordered_set<std::uint32_t> WatchedSockets::namespaces() const
{
    std::unordered_set<std::uint32_t> namespaces;
    for (const auto& [cookie, socket] : sockets_) {
        namespaces.insert(socket.slot().netns);
    }
    return namespaces;
}

std::unordered_map<std::uint64_t, Cookie> WatchedSockets::cookies_by_inode() const
{
    std::unordered_map<std::uint64_t, Cookie> cookies;
    for (const auto& [cookie, socket] : sockets_) {
        if (socket.state().inode != 0) {
            cookies.emplace(socket.state().inode, cookie);
        }
    }
    return cookies;
}

std::vector<Notice> WatchedSockets::take_notices()
{
    return std::exchange(notices_, {});
}

bool WatchedSockets::take_accepted()
{
    return std::exchange(accepted_, false);
}

}  // namespace drainwatch
