#include "poll/poll_source.hpp"

#include "drainwatch/socket_track.h"
#include "host/clock.hpp"
#include "host/proc.hpp"

#include <fmt/format.h>
#include <unistd.h>
#include <algorithm>
#include <array>

namespace drainwatch {
namespace {

using namespace std::chrono_literals;

/// All watched sockets are asked for once a tick, or less often where they are many: a share of
/// the time at most. Those with unread data may take more.
constexpr std::uint64_t kSweepShare = 200;
constexpr std::uint64_t kCloseLookShare = 50;

/// How often it is looked whether a target has come to hold a socket that was a stranger's.
constexpr std::uint64_t kRecheckNs = 10'000'000'000;
constexpr std::uint64_t kRecheckShare = 500;

constexpr std::chrono::nanoseconds kHabitPeriod = 5min;

constexpr auto kBlindSpots =
    "what happens between two looks is seen at the second one: ages are right to a tick, a zero "
    "window that opens again within one is not seen; a link that this side resets is told as "
    "ended; SO_RCVLOWAT and urgent data are not known";
constexpr auto kBlindSpotsOfProc = "no windows and no forecast: a stall is told by its age alone";

std::uint64_t ns(std::chrono::nanoseconds d)
{
    return static_cast<std::uint64_t>(d.count());
}

/// In an accept queue, as against one that its process has closed already.
bool waits_to_be_accepted(const SocketState& socket)
{
    return socket.inode == 0 &&
           (socket.state == DW_TCP_ESTABLISHED || socket.state == DW_TCP_CLOSE_WAIT);
}

/// Sample of the connection's own listener, of the one with its address or else the one with any.
const SocketState* listener_of(const SocketState& connection,
                               const std::vector<SocketState>& listeners)
{
    const SocketState* of_any = nullptr;
    for (const SocketState& listener : listeners) {
        if (listener.local.port != connection.local.port ||
            listener.local.family != connection.local.family) {
            continue;
        }
        if (listener.local.address == connection.local.address) {
            return &listener;
        }
        if (listener.local.address == std::array<std::uint8_t, 16>{}) {
            of_any = &listener;
        }
    }
    return of_any;
}

/// A target whose descriptors are hidden from us could only be guessed at.
Result<void> check_targets_can_be_read(const Targets& targets)
{
    TargetProcesses processes(targets);
    auto found = processes.scan();
    const auto named = processes.scan_names();
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
    : options_(options), processes_(options.targets)
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
        const auto more = processes_.scan_families();
        notices.insert(notices.end(), more.begin(), more.end());
    }
    for (ProcessNotice& notice : notices) {
        notice.target = notice.target && proc::descriptors_can_be_read(notice.pid);
    }
    follow_namespaces();
    find_sockets();
    return notices;
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
        const auto netns = proc::net_namespace(pid);
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
    const std::uint64_t began_ns = monotonic_ns();
    const bool recheck = began_ns >= recheck_due_ns_;
    if (recheck) {
        strangers_.clear();
    }
    std::unordered_set<Cookie> strangers;
    std::unordered_map<std::uint32_t, Unwatched> found;
    bool found_any = false;
    for (auto& [netns, in] : namespaces_) {
        auto& unwatched = found[netns] = list(in, strangers);
        found_any = found_any || !unwatched.connections.empty();
    }
    if (found_any && !options_.targets.all) {
        walk_descriptors();
    }
    for (const auto& [netns, unwatched] : found) {
        watch(netns, namespaces_.at(netns), unwatched, strangers);
    }
    strangers_ = std::move(strangers);
    if (recheck) {
        const std::uint64_t ended_ns = monotonic_ns();
        recheck_due_ns_ = ended_ns + std::max(kRecheckNs, kRecheckShare * (ended_ns - began_ns));
    }
}

PollSource::Unwatched PollSource::list(Namespace& in, std::unordered_set<Cookie>& strangers)
{
    Unwatched found;
    const auto listed = in.table->list(options_.targets.ports, [&](const SocketState& socket) {
        if (socket.state == DW_TCP_LISTEN) {
            found.listeners.push_back(socket);
        } else if (strangers_.contains(socket.cookie)) {
            strangers.insert(socket.cookie);
        } else if (!sockets_.contains(socket.cookie) &&
                   (socket.inode != 0 || waits_to_be_accepted(socket))) {
            found.connections.push_back(socket);
        }
    });
    failed_ += !listed;
    return found;
}

std::optional<std::uint32_t> PollSource::owner_of(const SocketState& connection,
                                                  const Unwatched& found) const
{
    if (options_.targets.all) {
        return 0;
    }
    std::uint64_t inode = connection.inode;
    if (inode == 0) {
        const SocketState* listener = listener_of(connection, found.listeners);
        inode = listener != nullptr ? listener->inode : 0;
    }
    const auto holder = descriptors_.holder(inode);
    return holder ? std::optional(holder->pid) : std::nullopt;
}

void PollSource::watch(std::uint32_t netns, Namespace& in, const Unwatched& found,
                       std::unordered_set<Cookie>& strangers)
{
    std::vector<SocketState> wanted;
    std::unordered_map<Cookie, std::uint32_t> owners;
    for (const SocketState& connection : found.connections) {
        const auto owner = owner_of(connection, found);
        const bool full = owner && sockets_.size() + wanted.size() >= options_.max_sockets;
        table_full_ += full;
        if (owner && !full) {
            wanted.push_back(connection);
            owners[connection.cookie] = *owner;
        } else if (connection.inode != 0) {
            strangers.insert(connection.cookie);  // one in an accept queue may be a target's soon
        }
    }
    if (wanted.empty()) {
        return;
    }
    const auto states = in.table->query(wanted);
    if (!states) {
        failed_++;
        return;  // they are found again at the next look
    }
    const std::uint64_t now_ns = monotonic_ns();
    for (const auto& state : *states) {
        if (state) {
            sockets_.try_emplace(state->cookie, *state, in.rules, netns, owners[state->cookie],
                                 now_ns);
        }
    }
    holders_ = descriptors_.holders(cookies_by_inode());
}

Look PollSource::look(const std::vector<Cookie>& followed)
{
    const std::uint64_t began_ns = monotonic_ns();
    const bool sweep = began_ns >= sweep_due_ns_;
    Look look;
    ended_.clear();
    if (!sweep && began_ns < close_look_due_ns_) {
        return look;
    }
    std::unordered_map<std::uint32_t, std::vector<Cookie>> cookies;
    if (sweep) {
        for (const auto& [cookie, socket] : sockets_) {
            cookies[socket.slot().netns].push_back(cookie);
        }
    } else {
        for (const Cookie cookie : followed) {
            if (const auto socket = sockets_.find(cookie); socket != sockets_.end()) {
                cookies[socket->second.slot().netns].push_back(cookie);
            }
        }
    }
    for (const auto& [netns, of_namespace] : cookies) {
        poll(namespaces_.at(netns), of_namespace);
    }
    const std::unordered_set<Cookie> asked_for(followed.begin(), followed.end());
    for (const auto& [netns, of_namespace] : cookies) {
        for (const Cookie cookie : of_namespace) {
            const auto socket = sockets_.find(cookie);
            if (socket != sockets_.end() &&
                (dw_unread_bytes(&socket->second.slot()) != 0 || asked_for.contains(cookie))) {
                look.samples.push_back(socket->second.sample());
            }
        }
    }
    for (const Cookie cookie : followed) {
        if (!sockets_.contains(cookie)) {
            look.gone.push_back(cookie);
        }
    }
    const std::uint64_t ended_ns = monotonic_ns();
    const std::uint64_t cost_ns = ended_ns - began_ns;
    if (sweep) {
        // The session comes once a tick: what is due a little later would wait for the next.
        sweep_due_ns_ = began_ns + std::max(ns(options_.tick) * 9 / 10, kSweepShare * cost_ns);
    }
    close_look_due_ns_ = began_ns + kCloseLookShare * cost_ns;
    return look;
}

void PollSource::poll(Namespace& in, const std::vector<Cookie>& cookies)
{
    const HabitRules habits{static_cast<std::uint32_t>(monotonic_ns() / ns(kHabitPeriod)),
                            ns(options_.warn_after)};
    std::vector<SocketState> asked;
    asked.reserve(cookies.size());
    for (const Cookie cookie : cookies) {
        asked.push_back(sockets_.at(cookie).state());
    }
    const auto ask = [&] {
        std::vector<SocketState> with_unread_data;
        const auto states = in.table->query(asked);
        if (!states) {
            failed_++;
            return with_unread_data;
        }
        answers_ += states->size();
        const std::uint64_t now_ns = monotonic_ns();
        for (std::size_t i = 0; i < asked.size(); i++) {
            const auto& state = (*states)[i];
            const bool closed_by_its_process = state && state->inode == 0 && asked[i].inode != 0;
            if (!state || state->cookie != asked[i].cookie || closed_by_its_process) {
                end(asked[i].cookie, now_ns);
                continue;
            }
            sockets_.at(state->cookie).update(*state, habits, now_ns);
            if (state->recv_queue > 0 && state->info) {
                with_unread_data.push_back(*state);
            }
        }
        return with_unread_data;
    };
    // The second answer says how far the reader was at the first: see PolledSocket.
    asked = ask();
    if (!asked.empty()) {
        (void)ask();
    }
}

/// The socket is in no table any more. If its descriptor is still open, it was not closed here: it
/// was reset.
void PollSource::end(Cookie cookie, std::uint64_t now_ns)
{
    const auto ended = sockets_.find(cookie);
    const PolledSocket& socket = ended->second;
    const std::uint32_t unread = dw_unread_bytes(&socket.slot());
    if (unread != 0 && descriptors_.still_held(socket.state().inode)) {
        notices_.emplace_back(
            SocketNotice{SocketNotice::Kind::reset_received, cookie, now_ns, unread, 0});
    }
    ended_.emplace(cookie, socket.sample());
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

Losses PollSource::losses() const
{
    Losses losses;
    losses.table_full = table_full_;
    losses.undecoded = failed_;
    for (const auto& [netns, in] : namespaces_) {
        losses.undecoded += in.table->undecoded();
    }
    return losses;
}

}  // namespace drainwatch
