#include "output/alert_event.hpp"

#include "drainwatch/units.hpp"

#include <cmath>
#include <cstring>

namespace drainwatch {
namespace {

std::string_view name_of(Alert::Kind kind)
{
    switch (kind) {
        case Alert::Kind::not_draining: return "not_draining";
        case Alert::Kind::falling_behind: return "falling_behind";
        case Alert::Kind::zero_window: return "zero_window";
        case Alert::Kind::window_reopened: return "window_reopened";
        case Alert::Kind::recovered: return "recovered";
        case Alert::Kind::link_reset: return "link_reset";
        case Alert::Kind::link_replaced: return "link_replaced";
        case Alert::Kind::ended: return "link_ended";
        case Alert::Kind::queue: return "queue";
    }
    return "";
}

Json ms_or_null(const std::optional<std::uint64_t>& ns)
{
    return ns ? Json(ms(*ns)) : Json(nullptr);
}

Json calendar_time(std::uint64_t at_ns, const ClockPair& clocks)
{
    return at_ns != 0 ? Json(rfc3339(clocks.to_realtime(at_ns))) : Json(nullptr);
}

void add_queue(Json& fields, const Alert& alert)
{
    const Reading& r = alert.reading;
    fields["queue_bytes"] = r.queue_bytes;
    fields["unread_age_ms"] = ms(r.age_ns);
    if (r.age_is_lower_bound) {
        fields["unread_age_is_lower_bound"] = true;
    }
    fields["last_read_ms"] = ms_or_null(r.since_read_ns);
    const auto if_known = [&](std::uint32_t bytes) {
        return r.window_known ? Json(bytes) : Json(nullptr);
    };
    fields["headroom_bytes"] = if_known(r.headroom_bytes);
    fields["rcvbuf_bytes"] = if_known(r.rcvbuf_bytes);
    fields["rmem_bytes"] = if_known(r.rmem_bytes);
    fields["arrival_bytes_per_s"] = std::llround(r.arrival_bytes_per_s);
    fields["drain_bytes_per_s"] = std::llround(r.drain_bytes_per_s);
    fields["zero_window_in_ms"] =
        alert.zero_in_s ? Json(std::llround(*alert.zero_in_s * 1e3)) : Json(nullptr);
}

/// "ETIMEDOUT"
Json error_name(int error)
{
    const char* name = error != 0 ? strerrorname_np(error) : nullptr;
    return name != nullptr ? Json(name) : Json(nullptr);
}

/// Polling sees only that it is over, with its descriptor still open.
Json side_of(const Alert& alert)
{
    if (alert.reading.estimated) {
        return nullptr;
    }
    return alert.reset_by == Side::local ? "local" : "peer";
}

}  // namespace

Event to_event(const Alert& alert, std::optional<Process> process, std::optional<std::uint32_t> fd,
               const ClockPair& clocks)
{
    Event event;
    event.name = name_of(alert.kind);
    event.severity = alert.severity;
    event.process = std::move(process);
    event.socket = socket_json(alert.sample, fd);
    event.reason = alert.reason;
    Json& fields = event.fields;
    fields["episode"] = alert.episode != 0 ? Json(alert.episode) : Json(nullptr);
    const bool is_turn =
        alert.kind == Alert::Kind::zero_window || alert.kind == Alert::Kind::window_reopened;
    if (alert.reading.estimated || (is_turn && alert.sample.turn_is_estimated)) {
        fields["estimated"] = true;
    }
    switch (alert.kind) {
        case Alert::Kind::not_draining:
        case Alert::Kind::falling_behind:
        case Alert::Kind::queue: add_queue(fields, alert); break;
        case Alert::Kind::zero_window:
            fields["announced_at"] =
                alert.was_before ? Json(nullptr) : calendar_time(alert.at_ns, clocks);
            fields["lead_ms"] = ms_or_null(alert.lead_ns);
            add_queue(fields, alert);
            break;
        case Alert::Kind::window_reopened:
            fields["announced_at"] = calendar_time(alert.at_ns, clocks);
            add_queue(fields, alert);
            break;
        case Alert::Kind::link_replaced:
            fields["replaced_at"] = calendar_time(alert.at_ns, clocks);
            fields["by"] = to_string(alert.replaced_by);
            add_queue(fields, alert);
            break;
        case Alert::Kind::recovered:
        case Alert::Kind::ended:
        case Alert::Kind::link_reset:
            if (alert.kind == Alert::Kind::link_reset) {
                fields["reset_at"] = calendar_time(alert.at_ns, clocks);
                fields["side"] = side_of(alert);
                fields["by_pid"] = alert.pid != 0 ? Json(alert.pid) : Json(nullptr);
                fields["unread_bytes"] = alert.reading.unread_bytes;
            }
            if (alert.kind == Alert::Kind::ended) {
                fields["error"] = error_name(alert.error);
            }
            fields["duration_ms"] = ms(alert.duration_ns);
            fields["max_queue_bytes"] = alert.max_queue_bytes;
            fields["zero_windows"] = alert.zero_windows;
            fields["lead_ms"] = ms_or_null(alert.lead_ns);
            break;
    }
    return event;
}

}  // namespace drainwatch
