#include "poll/socket_finder.hpp"

#include "drainwatch/socket_track.h"
#include "host/clock.hpp"
#include "poll/tick.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace drainwatch {
namespace {

/// The kernel's counters of connections are read once a tick, for this share of one CPU at most.
constexpr std::uint64_t kCountingShare = 200;

/// New sockets are looked for when connections have been opened, and now and then, for a target may
/// be passed an old one.
constexpr std::uint64_t kNewSocketsShare = 100;
constexpr std::uint64_t kListSpacingNs = 1'000'000'000;
constexpr std::uint64_t kListShare = 600;

/// A connection that came within so many ticks before it was found is as good as seen to begin.
constexpr std::uint64_t kTicksOfNew = 5;

/// How often it is looked whether a target has come to hold a socket that was a stranger's.
constexpr std::uint64_t kRecheckNs = 10'000'000'000;
constexpr std::uint64_t kRecheckShare = 500;

/// In an accept queue, as against one that its process has closed already.
bool waits_to_be_accepted(const SocketState& socket)
{
    return socket.inode == 0 && may_send(socket);
}

/// The listeners that this connection may have come from: those with its address, or else those
/// with any. Several of them share a port (SO_REUSEPORT).
std::vector<const SocketState*> listeners_of(const SocketState& connection,
                                             const std::vector<SocketState>& listeners)
{
    std::vector<const SocketState*> of_address;
    std::vector<const SocketState*> of_any;
    for (const SocketState& listener : listeners) {
        if (listener.local.port != connection.local.port ||
            listener.local.family != connection.local.family) {
            continue;
        }
        if (listener.local.address == connection.local.address) {
            of_address.push_back(&listener);
        } else if (listener.local.address == std::array<std::uint8_t, 16>{}) {
            of_any.push_back(&listener);
        }
    }
    return of_address.empty() ? of_any : of_address;
}

}  // namespace

SocketFinder::SocketFinder(const SourceOptions& options, PolledTargets& targets,
                           WatchedSockets& watched)
    : options_(options),
      targets_(targets),
      watched_(watched),
      counting_(almost_a_tick_ns(options), kCountingShare),
      finding_new_(0, kNewSocketsShare),
      listing_(kListSpacingNs, kListShare),
      rechecking_(kRecheckNs, kRecheckShare)
{}

std::vector<Notice> SocketFinder::take_notices()
{
    return std::exchange(notices_, {});
}

bool SocketFinder::take_holders_changed()
{
    return std::exchange(holders_changed_, false);
}

void SocketFinder::find(bool recheck)
{
    if (recheck) {
        rechecking_.make_due(0);
    }
    has_new_ = false;
    for (auto& [netns, in] : targets_.namespaces()) {
        (void)in.connections.has_new();  // what has come until now is about to be found
        in.has_new = false;
    }
    listing_.run([&] {
        if (rechecking_.is_due()) {
            rechecking_.run([&] { look(true); });
        } else {
            look(false);
        }
    });
    has_looked_ = true;
}

void SocketFinder::look(bool recheck)
{
    left_out_.begin_look();
    idle_.reset();
    filled_.clear();
    Strangers strangers;
    std::unordered_map<std::uint32_t, Unwatched> found;
    bool has_unknown = false;
    for (auto& [netns, in] : targets_.namespaces()) {
        auto& unwatched = found[netns] = list(in, recheck, strangers);
        has_unknown = has_unknown || unwatched.has_unknown;
    }
    // Whether a socket is still held tells its reset from its end.
    const bool has_accepted = watched_.take_accepted();
    if ((has_unknown || has_accepted) && !targets_.are_all()) {
        targets_.walk_descriptors();
        holders_changed_ = true;
    }
    for (const auto& [netns, unwatched] : found) {
        watch(netns, targets_.namespaces().at(netns), unwatched, strangers);
    }
    strangers_ = std::move(strangers);
}

void SocketFinder::count_connections()
{
    for (auto& [netns, in] : targets_.namespaces()) {
        const std::uint64_t began_ns = monotonic_ns();
        in.has_new = in.connections.has_new() || in.has_new;
        if (!in.has_new && in.all_known_ns != 0) {
            in.all_known_ns = began_ns;
        }
        has_new_ = has_new_ || in.has_new;
    }
}

/// A connection that is not read from its birth on cannot wait for the next full look.
void SocketFinder::find_new()
{
    if (counting_.is_due()) {
        counting_.run([&] { count_connections(); });
    }
    if ((has_new_ && finding_new_.is_due()) || listing_.is_due()) {
        finding_new_.run([&] { find(false); });
    }
}

/// What it has not come to is looked for again.
void SocketFinder::look_failed()
{
    failed_++;
    has_new_ = true;
    left_out_.keep_all();
}

SocketFinder::Unwatched SocketFinder::list(Namespace& in, bool recheck, Strangers& strangers)
{
    Unwatched found;
    const auto is_stranger = [&](const SocketState& socket) {
        const auto known = strangers_.find(socket.cookie);
        return !recheck && socket.inode != 0 && known != strangers_.end() &&
               known->second == socket.inode;
    };
    const auto stays_out = [&](const SocketState& socket) {
        return unread_bytes(socket) == 0 && watched_.size() >= options_.max_sockets &&
               left_out_.before(socket.cookie) != nullptr;
    };
    const std::uint64_t began_ns = monotonic_ns();
    const auto listed = in.table->list(options_.targets.ports, [&](const SocketState& socket) {
        if (socket.state == DW_TCP_LISTEN) {
            found.listeners.push_back(socket);
        } else if (watched_.contains(socket.cookie)) {
            if (unread_bytes(socket) != 0) {
                filled_.insert(socket.cookie);
            }
        } else if (is_stranger(socket)) {
            strangers.emplace(socket.cookie, socket.inode);
        } else if (stays_out(socket)) {
            left_out_.keep(socket.cookie);
        } else if (socket.inode != 0 || waits_to_be_accepted(socket)) {
            found.connections.push_back(socket);
            found.has_unknown = found.has_unknown || left_out_.before(socket.cookie) == nullptr;
        }
    });
    found.all_known_ns = std::exchange(in.all_known_ns, listed ? began_ns : 0);
    if (!listed) {
        look_failed();
    }
    std::partition(found.connections.begin(), found.connections.end(),
                   [](const SocketState& socket) { return unread_bytes(socket) != 0; });
    return found;
}

std::optional<std::uint32_t> SocketFinder::owner_of(const SocketState& connection,
                                                    const Unwatched& found) const
{
    if (targets_.are_all()) {
        return 0;
    }
    if (const auto holder = targets_.descriptors().holder(connection.inode)) {
        return holder->pid;
    }
    // Not accepted yet, or passed on: it is a target's if its listener is.
    std::optional<std::uint32_t> owner;
    for (const SocketState* listener : listeners_of(connection, found.listeners)) {
        const auto holder = targets_.descriptors().holder(listener->inode);
        if (!holder) {
            return std::nullopt;
        }
        owner = holder->pid;
    }
    return owner;
}

/// The table is full: one with unread data takes the place of one that is idle. False if none is.
bool SocketFinder::make_room()
{
    if (!idle_) {
        idle_ = watched_.idle(filled_);
    }
    if (idle_->empty()) {
        return false;
    }
    const Cookie idle = idle_->back();
    left_out_.give_up(idle, watched_.at(idle).slot().owner_tgid);
    watched_.erase(idle);
    idle_->pop_back();
    return true;
}

void SocketFinder::watch(std::uint32_t netns, Namespace& in, const Unwatched& found,
                         Strangers& strangers)
{
    // At the first look none is new. Later, one may be as old as what is known of all.
    std::uint64_t new_since_ns = 0;
    if (has_looked_) {
        new_since_ns = found.all_known_ns != 0 ? found.all_known_ns : monotonic_ns();
    }
    std::vector<SocketState> wanted;
    std::unordered_map<Cookie, std::uint32_t> owners;
    for (const SocketState& connection : found.connections) {
        const LeftOut::Socket* left = left_out_.before(connection.cookie);
        const auto owner = left != nullptr ? left->owner : owner_of(connection, found);
        if (!owner) {
            strangers.emplace(connection.cookie, connection.inode);
            continue;
        }
        const bool is_full = watched_.size() + wanted.size() >= options_.max_sockets;
        const bool has_unread = unread_bytes(connection) != 0;
        if (is_full && (!has_unread || !make_room())) {
            table_full_ += left_out_.add(connection.cookie, *owner, has_unread, new_since_ns);
            continue;
        }
        wanted.push_back(connection);
        owners[connection.cookie] = *owner;
    }
    if (wanted.empty()) {
        return;
    }
    const auto states = in.table->query(wanted);
    if (!states) {
        in.all_known_ns = 0;
        look_failed();
        return;
    }
    const auto tick_ns = static_cast<std::uint64_t>(options_.tick.count());
    const std::uint64_t now_ns = monotonic_ns();
    for (const auto& state : *states) {
        if (!state) {
            continue;
        }
        PolledSocket& socket =
            watched_.add({*state, in.rules, netns, owners[state->cookie], now_ns});
        const LeftOut::Socket* left = left_out_.before(state->cookie);
        const bool was_there = left != nullptr || strangers_.contains(state->cookie);
        if (!was_there && found.all_known_ns + kTicksOfNew * tick_ns >= now_ns) {
            socket.set_new();
        }
        if (const auto since_ns = left != nullptr ? left->found_ns : new_since_ns; since_ns != 0) {
            notices_.emplace_back(
                SocketNotice{SocketNotice::Kind::connected, state->cookie, since_ns, 0, 0});
        }
    }
    holders_changed_ = true;
}

}  // namespace drainwatch
