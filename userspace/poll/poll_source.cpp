#include "poll/poll_source.hpp"

#include "drainwatch/socket_track.h"
#include "host/clock.hpp"
#include "host/proc.hpp"

#include <fmt/format.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <functional>
#include <iterator>
#include <utility>

namespace drainwatch {
namespace {

using namespace std::chrono_literals;

/// All watched sockets are asked for once a tick, or less often where they are many: a share of
/// one CPU at most. Those with unread data may take more.
constexpr std::uint64_t kSweepShare = 200;
constexpr std::uint64_t kCloseLookShare = 50;
/// /proc/net/tcp has to be read as a whole, which takes milliseconds where there is no socket at
/// all.
constexpr std::uint64_t kProcShare = 33;

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

constexpr auto kBlindSpots =
    "what happens between two looks is seen at the second one: ages are right to a tick, a zero "
    "window that opens again within one is not seen; a link that this side resets is told as "
    "ended; SO_RCVLOWAT and urgent data are not known; there are no TLS facts";
constexpr auto kBlindSpotsOfProc = "no windows and no forecast: a stall is told by its age alone";

std::uint64_t ns(std::chrono::nanoseconds d)
{
    return static_cast<std::uint64_t>(d.count());
}

/// This side has not said its last word.
bool may_send(const SocketState& socket)
{
    return socket.state == DW_TCP_ESTABLISHED || socket.state == DW_TCP_CLOSE_WAIT;
}

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

/// Inode number of the process's network namespace; 0 on a kernel built without any.
std::optional<std::uint32_t> namespace_of(std::uint32_t pid)
{
    const auto netns = proc::net_namespace(pid);
    const bool has_none = !proc::net_namespace(static_cast<std::uint32_t>(getpid()));
    return !netns && has_none ? 0 : netns;
}

/// A target whose descriptors are hidden from us could only be guessed at.
Result<void> check_targets_can_be_read(const Targets& targets)
{
    TargetProcesses processes(targets);
    auto found = processes.scan();
    const auto named = processes.scan_all();
    found.insert(found.end(), named.begin(), named.end());
    const auto readable = [](const ProcessNotice& process) {
        return proc::descriptors_can_be_read(process.pid);
    };
    if (found.empty() || std::any_of(found.begin(), found.end(), readable)) {
        return {};
    }
    return fail(
        fmt::format("the descriptors of process {} cannot be read: run this as root, or as the "
                    "user of that process",
                    found.front().pid));
}

}  // namespace

Result<std::unique_ptr<Source>> PollSource::open(const SourceOptions& options,
                                                 std::string why_not_bpf)
{
    if (auto readable = check_targets_can_be_read(options.targets); !readable) {
        return tl::unexpected(readable.error());
    }
    const auto own = open_namespace(static_cast<std::uint32_t>(getpid()), options.without);
    if (!own) {
        return tl::unexpected(own.error());
    }
    return std::unique_ptr<Source>(new PollSource(options, *own, std::move(why_not_bpf)));
}

PollSource::PollSource(const SourceOptions& options, const Namespace& own, std::string why_not_bpf)
    : options_(options),
      processes_(options.targets, options.children),
      // The session comes once a tick: what is due a little later would wait for the next.
      sweeping_(ns(options.tick) * 9 / 10, own.tells_windows ? kSweepShare : kProcShare),
      looking_at_lively_(ns(options.tick) * 9 / 10, own.tells_windows ? kSweepShare : kProcShare),
      looking_closely_(0, own.tells_windows ? kCloseLookShare : kProcShare),
      counting_(ns(options.tick) * 9 / 10, kSweepShare),
      finding_new_(0, kNewSocketsShare),
      listing_(kListSpacingNs, kListShare),
      rechecking_(kRecheckNs, kRecheckShare)
{
    report_.missing.push_back({"bpf", std::move(why_not_bpf), kBlindSpots});
    if (!own.tells_windows) {
        report_.missing.push_back({"sock_diag", "only " + own.way + " answers", kBlindSpotsOfProc});
    }
}

std::string PollSource::blind_spots()
{
    return kBlindSpots;
}

std::vector<Notice> PollSource::take_notices()
{
    return std::exchange(notices_, {});
}

std::vector<std::uint32_t> PollSource::target_pids() const
{
    if (options_.targets.all) {
        return proc::pids();
    }
    std::vector<std::uint32_t> pids;
    for (const auto& [pid, comm] : processes_.living()) {
        pids.push_back(pid);
    }
    return pids;
}

std::vector<ProcessNotice> PollSource::find_targets()
{
    auto notices = processes_.scan();
    if (!options_.targets.all) {
        for (const auto& more : {processes_.scan_changes(), processes_.scan_all()}) {
            notices.insert(notices.end(), more.begin(), more.end());
        }
    }
    follow_namespaces();
    bool brings_sockets = !has_looked_;
    for (ProcessNotice& notice : notices) {
        if (notice.kind != ProcessNotice::Kind::ended) {
            notice.target = notice.target && can_watch(notice.pid);
            rechecking_.make_due(0);  // what was a stranger's may be this one's
            brings_sockets = true;
        }
    }
    if (brings_sockets) {
        find_sockets();
    }
    has_looked_ = true;
    return notices;
}

bool PollSource::can_watch(std::uint32_t pid) const
{
    const auto netns = namespace_of(pid);
    return netns && namespaces_.contains(*netns) && proc::descriptors_can_be_read(pid);
}

/// Opens the namespaces of targets, and lets those go in which there is neither a target nor a
/// socket of one: an open table keeps a namespace in being.
void PollSource::follow_namespaces()
{
    std::unordered_set<std::uint32_t> needed;
    for (const auto& [cookie, socket] : sockets_) {
        needed.insert(socket.slot().netns);
    }
    for (const std::uint32_t pid : target_pids()) {
        const auto netns = namespace_of(pid);
        if (!netns) {
            continue;
        }
        needed.insert(*netns);
        if (!namespaces_.contains(*netns)) {
            if (auto opened = open_namespace(pid, options_.without)) {
                namespaces_.emplace(*netns, std::move(*opened));
            }
        }
    }
    std::erase_if(namespaces_, [&](const auto& entry) { return !needed.contains(entry.first); });
}

void PollSource::walk_descriptors()
{
    descriptors_.walk(target_pids());
    holders_ = descriptors_.holders(cookies_by_inode());
}

void PollSource::find_sockets()
{
    has_new_ = false;
    for (auto& [netns, in] : namespaces_) {
        (void)in.connections.has_new();  // what has come until now is about to be found
        in.has_new = false;
    }
    listing_.run([&] {
        if (rechecking_.is_due()) {
            rechecking_.run([&] { find_unwatched(true); });
        } else {
            find_unwatched(false);
        }
    });
}

void PollSource::find_unwatched(bool recheck)
{
    left_out_.begin_look();
    idle_.reset();
    filled_.clear();
    Strangers strangers;
    std::unordered_map<std::uint32_t, Unwatched> found;
    bool has_unknown = false;
    for (auto& [netns, in] : namespaces_) {
        auto& unwatched = found[netns] = list(in, recheck, strangers);
        has_unknown = has_unknown || unwatched.has_unknown;
    }
    // Whether a socket is still held tells its reset from its end.
    if ((has_unknown || accepted_) && !options_.targets.all) {
        walk_descriptors();
        accepted_ = false;
    }
    for (const auto& [netns, unwatched] : found) {
        watch(netns, namespaces_.at(netns), unwatched, strangers);
    }
    strangers_ = std::move(strangers);
}

void PollSource::count_connections()
{
    for (auto& [netns, in] : namespaces_) {
        const std::uint64_t began_ns = monotonic_ns();
        in.has_new = in.connections.has_new() || in.has_new;
        if (!in.has_new && in.all_known_ns != 0) {
            in.all_known_ns = began_ns;
        }
        has_new_ = has_new_ || in.has_new;
    }
}

/// A connection that is not read from its birth on cannot wait for the next full look.
void PollSource::find_new_sockets()
{
    if (counting_.is_due()) {
        counting_.run([&] { count_connections(); });
    }
    if ((has_new_ && finding_new_.is_due()) || listing_.is_due()) {
        finding_new_.run([&] { find_sockets(); });
    }
}

/// What it has not come to is looked for again.
void PollSource::look_failed()
{
    failed_++;
    has_new_ = true;
    left_out_.keep_all();
}

PollSource::Unwatched PollSource::list(Namespace& in, bool recheck, Strangers& strangers)
{
    Unwatched found;
    const auto is_stranger = [&](const SocketState& socket) {
        const auto known = strangers_.find(socket.cookie);
        return !recheck && socket.inode != 0 && known != strangers_.end() &&
               known->second == socket.inode;
    };
    const auto stays_out = [&](const SocketState& socket) {
        return unread_bytes(socket) == 0 && sockets_.size() >= options_.max_sockets &&
               left_out_.before(socket.cookie) != nullptr;
    };
    const std::uint64_t began_ns = monotonic_ns();
    const auto listed = in.table->list(options_.targets.ports, [&](const SocketState& socket) {
        if (socket.state == DW_TCP_LISTEN) {
            found.listeners.push_back(socket);
        } else if (sockets_.contains(socket.cookie)) {
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

std::optional<std::uint32_t> PollSource::owner_of(const SocketState& connection,
                                                  const Unwatched& found) const
{
    if (options_.targets.all) {
        return 0;
    }
    if (const auto holder = descriptors_.holder(connection.inode)) {
        return holder->pid;
    }
    // Not accepted yet, or passed on: it is a target's if its listener is.
    std::optional<std::uint32_t> owner;
    for (const SocketState* listener : listeners_of(connection, found.listeners)) {
        const auto holder = descriptors_.holder(listener->inode);
        if (!holder) {
            return std::nullopt;
        }
        owner = holder->pid;
    }
    return owner;
}

/// Those that have nothing unread and are not followed, the one that was idle longest last.
std::vector<Cookie> PollSource::idle_sockets() const
{
    std::vector<std::pair<std::uint64_t, Cookie>> idle;
    for (const auto& [cookie, socket] : sockets_) {
        if (dw_unread_bytes(&socket.slot()) == 0 && !filled_.contains(cookie) &&
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

/// The table is full: one with unread data takes the place of one that is idle. False if none is.
bool PollSource::make_room()
{
    if (!idle_) {
        idle_ = idle_sockets();
    }
    if (idle_->empty()) {
        return false;
    }
    const auto idle = sockets_.find(idle_->back());
    left_out_.give_up(idle->first, idle->second.slot().owner_tgid);
    sockets_.erase(idle);
    idle_->pop_back();
    return true;
}

void PollSource::watch(std::uint32_t netns, Namespace& in, const Unwatched& found,
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
        const bool is_full = sockets_.size() + wanted.size() >= options_.max_sockets;
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
    const std::uint64_t now_ns = monotonic_ns();
    for (const auto& state : *states) {
        if (!state) {
            continue;
        }
        auto& socket =
            sockets_
                .try_emplace(state->cookie, *state, in.rules, netns, owners[state->cookie], now_ns)
                .first->second;
        const LeftOut::Socket* left = left_out_.before(state->cookie);
        const bool was_there = left != nullptr || strangers_.contains(state->cookie);
        if (!was_there && found.all_known_ns + kTicksOfNew * ns(options_.tick) >= now_ns) {
            socket.set_new();
        }
        if (const auto since_ns = left != nullptr ? left->found_ns : new_since_ns; since_ns != 0) {
            notices_.emplace_back(
                SocketNotice{SocketNotice::Kind::connected, state->cookie, since_ns, 0, 0});
        }
    }
    holders_ = descriptors_.holders(cookies_by_inode());
}

/// All of them are asked once in a while. In between, those to which data came lately, for one of
/// these may have stopped; and more closely those that are followed, unless all is told of them.
std::vector<Cookie> PollSource::ask_some(const std::unordered_set<Cookie>& all_told)
{
    std::vector<Cookie> asked;
    if (sweeping_.is_due()) {
        for (const auto& [cookie, socket] : sockets_) {
            asked.push_back(cookie);
        }
        lively_.clear();
        sweeping_.run([&] { poll(asked); });
        looking_at_lively_.run([] {});  // these were among them
        return asked;
    }
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

Look PollSource::look(const std::vector<Cookie>& followed,
                      const std::unordered_set<Cookie>& all_told)
{
    ended_.clear();
    followed_ = {followed.begin(), followed.end()};
    const std::vector<Cookie> asked_for = ask_some(all_told);
    find_new_sockets();
    Look look;
    for (const Cookie cookie : asked_for) {
        const auto socket = sockets_.find(cookie);
        if (socket != sockets_.end() &&
            (dw_unread_bytes(&socket->second.slot()) != 0 || followed_.contains(cookie))) {
            look.samples.push_back(socket->second.sample());
        }
    }
    std::copy_if(followed.begin(), followed.end(), std::back_inserter(look.gone),
                 [&](Cookie cookie) { return !sockets_.contains(cookie); });
    return look;
}

void PollSource::poll(const std::vector<Cookie>& cookies)
{
    std::unordered_map<std::uint32_t, std::vector<SocketState>> asked;
    for (const Cookie cookie : cookies) {
        const PolledSocket& socket = sockets_.at(cookie);
        asked[socket.slot().netns].push_back(socket.state());
    }
    for (const auto& [netns, of_namespace] : asked) {
        // The second answer says how far the reader was at the first: see PolledSocket.
        SocketTable& table = *namespaces_.at(netns).table;
        const auto with_unread_data = ask(table, of_namespace);
        if (!with_unread_data.empty()) {
            (void)ask(table, with_unread_data);
        }
    }
}

std::vector<SocketState> PollSource::ask(SocketTable& table,
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
        socket.update(*state, ns(options_.warn_after), now_ns);
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
void PollSource::end(Cookie cookie, std::uint64_t now_ns)
{
    const auto ended = sockets_.find(cookie);
    const PolledSocket& socket = ended->second;
    const SocketSample last = socket.sample();
    const bool was_left =
        !last.unread.empty() && last.taken_ns - last.unread.front().at_ns >= ns(options_.tick);
    if (was_left && may_send(socket.state()) && descriptors_.still_held(socket.state().inode)) {
        notices_.emplace_back(SocketNotice{SocketNotice::Kind::reset_received, cookie, now_ns,
                                           last.unread_bytes(), 0});
    }
    ended_.emplace(cookie, last);
    sockets_.erase(ended);
}

std::optional<SocketSample> PollSource::sample(Cookie cookie) const
{
    if (const auto socket = sockets_.find(cookie); socket != sockets_.end()) {
        return socket->second.sample();
    }
    const auto ended = ended_.find(cookie);
    return ended != ended_.end() ? std::optional(ended->second) : std::nullopt;
}

std::unordered_map<std::uint64_t, Cookie> PollSource::cookies_by_inode() const
{
    std::unordered_map<std::uint64_t, Cookie> cookies;
    for (const auto& [cookie, socket] : sockets_) {
        if (socket.state().inode != 0) {
            cookies.emplace(socket.state().inode, cookie);
        }
    }
    return cookies;
}

void PollSource::refresh_holders()
{
    walk_descriptors();
}

std::vector<Holder> PollSource::all_holders()
{
    Descriptors everyone;
    everyone.walk(proc::pids());
    return everyone.holders(cookies_by_inode());
}

HeldSockets PollSource::sockets_of(std::uint32_t pid, std::size_t most) const
{
    HeldSockets held;
    for (const Holder& holder : holders_) {
        const auto socket = sockets_.find(holder.cookie);
        if (holder.pid != pid || socket == sockets_.end()) {
            continue;
        }
        if (held.sockets.size() == most) {
            held.all = false;
            break;
        }
        held.sockets.push_back({holder.cookie, holder.fd, holder.inode, socket->second.sample()});
    }
    return held;
}

Result<void> PollSource::set_attached(const std::string& hook, bool /*attached*/)
{
    return fail(fmt::format("{} is not hooked by polling", hook));
}

Losses PollSource::losses() const
{
    Losses losses;
    losses.table_full = table_full_;
    losses.looks_failed = failed_;
    for (const auto& [netns, in] : namespaces_) {
        losses.undecoded += in.table->undecoded();
    }
    return losses;
}

}  // namespace drainwatch
