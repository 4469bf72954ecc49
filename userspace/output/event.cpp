#include "output/event.hpp"

#include "output/escape.hpp"
#include "output/time.hpp"

#include <fmt/format.h>

namespace drainwatch {
namespace {

std::string render_json(const Event& event, std::uint64_t written_ns)
{
    Json line;
    line["ts"] = rfc3339(written_ns);
    line["event"] = event.name;
    line["severity"] = to_string(event.severity);
    if (event.process) {
        line["process"] = process_json(*event.process);
    } else if (!event.socket.is_null()) {
        line["process"] = nullptr;
    }
    if (!event.socket.is_null()) {
        line["socket"] = event.socket;
    }
    line.update(event.fields);
    if (!event.reason.empty()) {
        line["reason"] = event.reason;
    }
    return line.dump();
}

/// Bare where that is unmistakable, else as in JSON.
std::string text_value(const Json& value)
{
    if (!value.is_string()) {
        return value.dump();
    }
    const auto& text = value.get_ref<const std::string&>();
    const bool plain = !text.empty() && text.find_first_of(" \"=") == std::string::npos;
    return plain ? text : value.dump();
}

std::string render_text(const Event& event, std::uint64_t written_ns)
{
    std::string line =
        fmt::format("{} {:<8} {:<15}", rfc3339(written_ns), to_string(event.severity), event.name);
    if (event.process) {
        line += fmt::format(" {}({})", escape(event.process->comm), event.process->pid);
    }
    if (!event.socket.is_null()) {
        line += fmt::format(" {} <- {}", event.socket["local"].get_ref<const std::string&>(),
                            event.socket["remote"].get_ref<const std::string&>());
    }
    if (!event.reason.empty()) {
        line += " " + event.reason;
    }
    if (!event.fields.empty()) {
        line += " |";
    }
    for (const auto& [key, value] : event.fields.items()) {
        line += fmt::format(" {}={}", key, text_value(value));
    }
    return line;
}

}  // namespace

std::string_view to_string(Severity severity)
{
    switch (severity) {
        case Severity::info: return "info";
        case Severity::warning: return "warning";
        case Severity::critical: return "critical";
    }
    return "";
}

std::string render(const Event& event, OutputFormat format, std::uint64_t written_ns)
{
    return format == OutputFormat::json ? render_json(event, written_ns)
                                        : render_text(event, written_ns);
}

Json socket_json(const SocketSample& sample, std::optional<std::uint32_t> fd)
{
    Json socket;
    socket["local"] = to_string(sample.local);
    socket["remote"] = to_string(sample.remote);
    socket["cookie"] = static_cast<std::uint64_t>(sample.cookie);
    socket["netns"] = sample.netns;
    socket["fd"] = fd ? Json(*fd) : Json(nullptr);
    return socket;
}

Json process_json(const Process& process)
{
    Json json;
    json["comm"] = escape(process.comm);
    json["pid"] = process.pid;
    return json;
}

}  // namespace drainwatch
