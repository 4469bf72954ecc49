// What a Monitor tells of a socket's window.
#include "detect/monitor.hpp"

#include "detect/wording.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <utility>

namespace drainwatch {

void Monitor::close_window(Followed& socket, std::uint64_t at_ns, std::vector<Alert>& alerts)
{
    totals_.zero_windows++;
    socket.closed = true;
    Episode& episode = episode_of(socket);
    note_what_is_told(socket);
    const bool was_before = at_ns == 0;
    const std::uint64_t told_ns = was_before ? socket.last.taken_ns : at_ns;
    if (!episode.closed(told_ns)) {
        return;
    }
    const auto lead = episode.lead_ns();
    std::string reason = was_before ? "zero window: it was closed before the watch began"
                         : lead && *lead > 0
                             ? fmt::format("zero window announced, {} after the first warning",
                                           in_words(static_cast<double>(*lead) / 1e9))
                             : "zero window announced";
    alerts.push_back(zero_alert(socket, told_ns, std::move(reason)));
    alerts.back().was_before = was_before;
}

Alert Monitor::zero_alert(const Followed& socket, std::uint64_t at_ns, std::string reason)
{
    Alert alert =
        make_alert(Alert::Kind::zero_window, Severity::critical, socket, at_ns, std::move(reason));
    alert.zero_in_s.reset();
    alert.lead_ns = socket.episode->lead_ns();
    return alert;
}

/// It closed again soon after it was told of, and has not opened since.
void Monitor::tell_late_of_zero(Followed& socket, std::vector<Alert>& alerts)
{
    const std::uint64_t now_ns = socket.last.taken_ns;
    const auto at_ns =
        socket.closed && socket.episode ? socket.episode->late_report(now_ns) : std::nullopt;
    if (at_ns) {
        const std::uint64_t closed_ns = now_ns - std::min(*at_ns, now_ns);
        alerts.push_back(
            zero_alert(socket, *at_ns,
                       fmt::format("zero window announced again, {} ago, and closed since",
                                   in_words(static_cast<double>(closed_ns) / 1e9))));
    }
}

void Monitor::reopen_window(Followed& socket, std::uint64_t at_ns, std::vector<Alert>& alerts)
{
    socket.closed = false;
    if (!socket.episode || !socket.episode->reopened()) {
        return;
    }
    alerts.push_back(
        make_alert(Alert::Kind::window_reopened, Severity::info, socket, at_ns,
                   fmt::format("window open again: {} bytes", socket.reading.headroom_bytes)));
}

/// The sample's own counters make good for notices that were lost.
void Monitor::follow_window(Followed& socket, std::vector<Alert>& alerts)
{
    const SocketSample& sample = socket.last;
    const auto untold = static_cast<std::int32_t>(sample.zero_count - socket.zeros_told);
    if (untold > 0) {
        totals_.zero_windows += static_cast<std::uint32_t>(untold - 1);
        socket.zeros_told = sample.zero_count;
        close_window(socket, sample.zero_ns, alerts);
    }
    if (socket.closed && !sample.closed && sample.zero_count == socket.zeros_told &&
        has_opened(socket)) {
        reopen_window(socket, sample.reopened_ns, alerts);
    }
}

/// A source that came while the window was closed may not know of it.
bool Monitor::has_opened(const Followed& socket)
{
    const Reading& reading = socket.reading;
    return socket.last.reopened_ns != 0 ||
           (reading.window_known ? !reading.closed_in_effect : reading.unread_bytes == 0);
}

}  // namespace drainwatch
