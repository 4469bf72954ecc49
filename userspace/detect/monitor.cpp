#include "detect/monitor.hpp"

#include "detect/peers.hpp"
#include "detect/wording.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <string_view>
#include <system_error>

namespace drainwatch {
namespace {

/// Made by a source, not counted up by the kernel: dw_own_cookie().
bool is_own(Cookie cookie)
{
    return static_cast<std::uint64_t>(cookie) >= 1ULL << 52;
}

/// Of the others, the look that follows says it all, or they are not about the queue.
bool changes_a_verdict(SocketNotice::Kind kind)
{
    using Kind = SocketNotice::Kind;
    return kind == Kind::zero_window || kind == Kind::reopened || kind == Kind::reset_received ||
           kind == Kind::reset_sent || kind == Kind::broken;
}

/// Polling cannot tell a reset from a connection that the kernel gave up.
std::string_view who_reset(const SocketNotice& notice, const SocketSample& sample)
{
    if (sample.estimated) {
        return "the link broke (a reset or a timeout)";
    }
    if (notice.kind == SocketNotice::Kind::reset_received) {
        return "reset by the peer";
    }
    return notice.pid != 0 ? "reset by this side" : "reset by the kernel of this side";
}

}  // namespace

Monitor::Followed& Monitor::follow(const SocketSample& sample)
{
    auto [it, is_new] = sockets_.try_emplace(sample.cookie);
    Followed& socket = it->second;
    if (is_new) {
        // A closed window is news; one that was closed and opened before is history.
        socket.zeros_told = sample.zero_count - (sample.closed && sample.zero_count > 0 ? 1 : 0);
    }
    return socket;
}

/// What the source before knew, as long as this one has not seen it end.
void Monitor::take_over(Followed& socket, SocketSample& sample)
{
    if (socket.from_another_source) {
        socket.from_another_source = false;
        socket.history = History();
        socket.zeros_told = sample.zero_count - (sample.closed && !socket.closed ? 1 : 0);
        socket.oldest_ns = socket.last.unread.empty() ? 0 : socket.last.unread.front().at_ns;
        socket.last_read_ns = socket.last.last_read_ns;
    }
    if (!sample.age_is_lower_bound || sample.unread.empty()) {
        socket.oldest_ns = 0;
    }
    if (socket.oldest_ns != 0) {
        auto& oldest = sample.unread.front().at_ns;
        oldest = std::min(oldest, socket.oldest_ns);
    }
    sample.last_read_ns = std::max(sample.last_read_ns, socket.last_read_ns);
}

void Monitor::update(Followed& socket, SocketSample sample)
{
    take_over(socket, sample);
    socket.history.add(sample);
    socket.reading = make_reading(sample, socket.history);
    socket.last = std::move(sample);
}

/// As of the last look, which may have found it unchanged.
void Monitor::read_again(Followed& socket)
{
    socket.reading = make_reading(socket.last, socket.history);
}

void Monitor::unchanged(Cookie cookie, std::uint64_t now_ns)
{
    const auto known = sockets_.find(cookie);
    if (known == sockets_.end() || now_ns < known->second.last.taken_ns) {
        return;
    }
    Followed& socket = known->second;
    socket.last.taken_ns = now_ns;
    socket.history.repeat(now_ns);
}

void Monitor::source_changed()
{
    from_before_.clear();
    all_told_.clear();
    for (auto& [cookie, socket] : sockets_) {
        socket.from_another_source = true;
        from_before_.push_back(cookie);
    }
}

/// Where the kernel has given a connection no cookie, one source makes its own and another has it
/// made.
void Monitor::know_again(const SocketSample& sample)
{
    std::erase_if(from_before_, [&](Cookie cookie) {
        const auto known = sockets_.find(cookie);
        if (known == sockets_.end() || !known->second.from_another_source) {
            return true;
        }
        const SocketSample& last = known->second.last;
        const bool is_same = last.local == sample.local && last.remote == sample.remote &&
                             last.netns == sample.netns;
        if (is_same && cookie != sample.cookie && (is_own(cookie) || is_own(sample.cookie))) {
            overdue_.forget(cookie);
            all_told_.erase(cookie);
            auto renamed = sockets_.extract(known);
            renamed.key() = sample.cookie;
            sockets_.insert(std::move(renamed));
        }
        return is_same;
    });
}

Episode& Monitor::episode_of(Followed& socket)
{
    if (!socket.episode) {
        socket.episode.emplace(++episodes_begun_);
        totals_.episodes++;
    }
    socket.episode->note_queue(socket.reading.queue_bytes);
    return *socket.episode;
}

Alert Monitor::make_alert(Alert::Kind kind, Severity severity, const Followed& socket,
                          std::uint64_t at_ns, std::string reason)
{
    Alert alert;
    alert.kind = kind;
    alert.severity = severity;
    alert.at_ns = at_ns;
    alert.episode = socket.episode ? socket.episode->number() : 0;
    alert.sample = socket.last;
    alert.reading = socket.reading;
    alert.zero_in_s = zero_in_s(socket.reading);
    alert.reason = std::move(reason);
    return alert;
}

void Monitor::sum_up(Alert& alert, const Followed& socket, std::uint64_t now_ns)
{
    if (!socket.episode) {
        return;
    }
    alert.duration_ns = socket.episode->duration_ns(now_ns);
    alert.max_queue_bytes = socket.episode->max_queue_bytes();
    alert.zero_windows = socket.episode->zero_windows();
    alert.lead_ns = socket.episode->lead_ns();
}

void Monitor::judge(Followed& socket, std::vector<Alert>& alerts)
{
    const Reading& reading = socket.reading;
    auto finding = not_draining(reading, limits_);
    if (!finding) {
        finding = falling_behind(reading, limits_);
    }
    socket.suspicious = is_suspicious(reading, limits_);
    if (finding) {
        Episode& episode = episode_of(socket);
        if (episode.raise(*finding, reading.at_ns)) {
            const auto kind = finding->trouble == Trouble::not_draining
                                  ? Alert::Kind::not_draining
                                  : Alert::Kind::falling_behind;
            alerts.push_back(make_alert(kind, finding->severity, socket, reading.at_ns,
                                        std::move(finding->reason)));
            alerts.back().zero_in_s = finding->zero_in_s;
        }
        return;
    }
    if (!socket.episode) {
        return;
    }
    socket.episode->note_queue(reading.queue_bytes);
    if (socket.episode->over(reading, limits_)) {
        Alert alert = make_alert(Alert::Kind::recovered, Severity::info, socket, reading.at_ns, "");
        sum_up(alert, socket, reading.at_ns);
        alert.reason = fmt::format("draining again after {}; at most {} bytes were queued",
                                   in_words(static_cast<double>(alert.duration_ns) / 1e9),
                                   alert.max_queue_bytes);
        alerts.push_back(std::move(alert));
        socket.episode.reset();
    }
}

std::vector<Alert> Monitor::observe(const SocketSample& sample)
{
    std::vector<Alert> alerts;
    know_again(sample);
    if (sample.unread_bytes() == 0 && !sample.closed && !follows(sample.cookie)) {
        return alerts;
    }
    Followed& socket = follow(sample);
    update(socket, sample);
    judge(socket, alerts);
    follow_window(socket, alerts);
    tell_late_of_zero(socket, alerts);
    note_what_is_told(socket);
    if (!socket.episode && sample.unread_bytes() == 0 && !sample.closed) {
        forget(sample.cookie);
    }
    return alerts;
}

void Monitor::reset(Followed& socket, const SocketNotice& notice, std::vector<Alert>& alerts)
{
    if (notice.value == 0) {
        return;
    }
    totals_.resets++;
    const bool received = notice.kind == SocketNotice::Kind::reset_received;
    Alert alert = make_alert(Alert::Kind::link_reset, Severity::warning, socket, notice.at_ns, "");
    sum_up(alert, socket, notice.at_ns);
    alert.max_queue_bytes = std::max(alert.max_queue_bytes, notice.value);
    alert.reason =
        fmt::format("{} with {} bytes unread", who_reset(notice, socket.last), notice.value);
    alert.reset_by = received ? Side::peer : Side::local;
    alert.pid = notice.pid;
    alert.zero_in_s.reset();
    alerts.push_back(std::move(alert));
    forget(notice.cookie);
}

/// What was unread is lost, or all but lost, as with a reset.
void Monitor::give_up(Followed& socket, const SocketNotice& notice, std::vector<Alert>& alerts)
{
    if (socket.reading.unread_bytes == 0) {
        return;  // it has been read since
    }
    Alert alert = make_alert(Alert::Kind::ended, Severity::warning, socket, notice.at_ns, "");
    sum_up(alert, socket, notice.at_ns);
    alert.max_queue_bytes = std::max(alert.max_queue_bytes, socket.reading.queue_bytes);
    alert.error = static_cast<int>(notice.value);
    alert.reason =
        fmt::format("the connection was given up ({}) with {} bytes unread",
                    std::generic_category().message(alert.error), socket.reading.unread_bytes);
    alert.zero_in_s.reset();
    alerts.push_back(std::move(alert));
    forget(notice.cookie);
}

std::vector<Alert> Monitor::notice(const SocketNotice& notice,
                                   const std::optional<SocketSample>& sample)
{
    std::vector<Alert> alerts;
    if (!changes_a_verdict(notice.kind)) {
        return alerts;
    }
    if (sample) {
        know_again(*sample);
    }
    const bool is_new = !follows(notice.cookie);
    if (is_new && !sample) {
        return alerts;
    }
    Followed& socket = sample ? follow(*sample) : sockets_.at(notice.cookie);
    if (sample) {
        update(socket, *sample);
    } else {
        read_again(socket);
    }
    if (is_new && notice.kind == SocketNotice::Kind::zero_window) {
        socket.zeros_told = notice.value - 1;
    }
    switch (notice.kind) {
        case SocketNotice::Kind::zero_window:
            if (static_cast<std::int32_t>(notice.value - socket.zeros_told) > 0) {
                totals_.zero_windows += notice.value - socket.zeros_told - 1;
                socket.zeros_told = notice.value;
                close_window(socket, notice.at_ns, alerts);
            }
            break;
        case SocketNotice::Kind::reopened:
            if (socket.closed && notice.value == socket.zeros_told) {
                reopen_window(socket, notice.at_ns, alerts);
            }
            break;
        case SocketNotice::Kind::reset_received:
        case SocketNotice::Kind::reset_sent: reset(socket, notice, alerts); break;
        case SocketNotice::Kind::broken: give_up(socket, notice, alerts); break;
        case SocketNotice::Kind::closed:
        case SocketNotice::Kind::connected:
        case SocketNotice::Kind::alert_sent:
        case SocketNotice::Kind::alert_received:
        case SocketNotice::Kind::handshake_begun:
        case SocketNotice::Kind::handshake_over:
        case SocketNotice::Kind::filling:
        case SocketNotice::Kind::ended: break;
    }
    return alerts;
}

/// Its reader has been silent beyond every limit, all of its windows are dealt with, and so it
/// stays for as long as its counters do.
bool Monitor::all_is_told(const Followed& socket) const
{
    const auto critical_ns = static_cast<std::uint64_t>(limits_.critical_after.count());
    const auto warn_ns = static_cast<std::uint64_t>(limits_.warn_after.count());
    return is_overdue(socket) && socket.episode->is_critical() && socket.reading.wanted &&
           socket.reading.silent_ns >= std::max(critical_ns, warn_ns) &&
           socket.closed == socket.last.closed && socket.zeros_told == socket.last.zero_count &&
           !socket.episode->owes_report() && !socket.from_another_source;
}

/// Its data waits, and that has been told.
bool Monitor::is_overdue(const Followed& socket)
{
    return socket.reading.unread_bytes != 0 && socket.episode.has_value();
}

bool Monitor::was_replaced(Cookie cookie) const
{
    const auto known = sockets_.find(cookie);
    return known != sockets_.end() && known->second.replaced_told;
}

std::vector<std::pair<Peer, std::uint64_t>> Monitor::stalls_so_far(std::uint64_t now_ns) const
{
    std::vector<std::pair<Peer, std::uint64_t>> stalls;
    for (const auto& [cookie, socket] : sockets_) {
        if (socket.episode) {
            stalls.emplace_back(peer_of(socket.last), socket.episode->duration_ns(now_ns));
        }
    }
    return stalls;
}

void Monitor::forget(Cookie cookie)
{
    sockets_.erase(cookie);
    overdue_.forget(cookie);
    all_told_.erase(cookie);
}

void Monitor::note_what_is_told(Followed& socket)
{
    if (all_is_told(socket)) {
        all_told_.insert(socket.last.cookie);
    } else {
        all_told_.erase(socket.last.cookie);
    }
    socket.replaced_told = socket.replaced_told && is_overdue(socket);
    if (is_overdue(socket) && !socket.replaced_told) {
        overdue_.note(socket.last, socket.reading.at_ns - socket.reading.silent_ns);
    } else {
        overdue_.forget(socket.last.cookie);
    }
}

/// One connection stands for one other: of several that are overdue, for that which is so longest.
/// It may be told of late: not for one that was still being read as it was made.
std::optional<Cookie> Monitor::replaced_by(const SocketSample& fresh, std::uint64_t at_ns) const
{
    return overdue_.longest(fresh, at_ns);
}

std::optional<Alert> Monitor::connected(const SocketSample& fresh, std::uint64_t at_ns)
{
    const auto cookie = replaced_by(fresh, at_ns);
    if (!cookie) {
        return std::nullopt;
    }
    Followed& replaced = sockets_.at(*cookie);
    read_again(replaced);
    replaced.replaced_told = true;
    overdue_.forget(*cookie);
    Alert alert = make_alert(
        Alert::Kind::link_replaced, Severity::warning, replaced, at_ns,
        fmt::format("the peer has connected anew, from port {}; on its old connection {}",
                    fresh.remote.port, queue_in_words(replaced.reading)));
    alert.replaced_by = fresh.remote;
    return alert;
}

std::vector<Alert> Monitor::gone(Cookie cookie, std::uint64_t now_ns)
{
    std::vector<Alert> alerts;
    const auto it = sockets_.find(cookie);
    if (it == sockets_.end()) {
        return alerts;
    }
    Followed& socket = it->second;
    if (socket.episode) {
        read_again(socket);
        Alert alert = make_alert(Alert::Kind::ended, Severity::info, socket, now_ns, "");
        sum_up(alert, socket, now_ns);
        alert.reason = fmt::format("the socket was closed after {} of trouble",
                                   in_words(static_cast<double>(alert.duration_ns) / 1e9));
        alert.zero_in_s.reset();
        alerts.push_back(std::move(alert));
    }
    forget(cookie);
    return alerts;
}

std::vector<Cookie> Monitor::followed() const
{
    std::vector<Cookie> cookies;
    cookies.reserve(sockets_.size());
    for (const auto& [cookie, socket] : sockets_) {
        cookies.push_back(cookie);
    }
    return cookies;
}

bool Monitor::wants_close_look() const
{
    return std::any_of(sockets_.begin(), sockets_.end(), [](const auto& entry) {
        return entry.second.suspicious && !entry.second.episode;
    });
}

bool Monitor::awaits_zero() const
{
    return std::any_of(sockets_.begin(), sockets_.end(), [](const auto& entry) {
        const Reading& reading = entry.second.reading;
        // After the last read of an episode, what it has freed is not known.
        const bool matters = reading.unread_bytes != 0 || entry.second.episode;
        return matters && reading.closed_in_effect && !reading.closed && !reading.peer_is_done;
    });
}

std::optional<std::uint64_t> Monitor::next_threshold_ns(std::uint64_t after_ns) const
{
    std::optional<std::uint64_t> next;
    for (const auto& [cookie, socket] : sockets_) {
        const Reading& reading = socket.reading;
        if (reading.unread_bytes == 0 || !reading.wanted) {
            continue;
        }
        for (const auto limit : {limits_.warn_after, limits_.critical_after}) {
            const auto limit_ns = static_cast<std::uint64_t>(limit.count());
            if (reading.silent_ns < limit_ns) {
                const std::uint64_t at_ns = reading.at_ns + limit_ns - reading.silent_ns;
                if (at_ns > after_ns) {
                    next = std::min(next.value_or(at_ns), at_ns);
                }
            }
        }
    }
    return next;
}

std::vector<Alert> Monitor::standing()
{
    std::vector<Alert> alerts;
    for (auto& [cookie, socket] : sockets_) {
        if (socket.episode) {
            read_again(socket);
            const Reading& reading = socket.reading;
            alerts.push_back(make_alert(Alert::Kind::queue, Severity::info, socket, reading.at_ns,
                                        queue_in_words(reading)));
        }
    }
    return alerts;
}

}  // namespace drainwatch
