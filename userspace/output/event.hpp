#pragma once

#include "detect/finding.hpp"
#include "drainwatch/process.hpp"
#include "drainwatch/sample.hpp"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace drainwatch {

using Json = nlohmann::ordered_json;

enum class OutputFormat { text, json };

/// One line of output. `fields` holds what is particular to the event, in the order in which it
/// is printed; both formats print the same.
struct Event {
    std::string name;
    Severity severity = Severity::info;
    std::optional<Process> process;
    Json socket;         ///< null, or local, remote, cookie, netns, fd
    std::string reason;  ///< one plain sentence
    Json fields = Json::object();
};

[[nodiscard]] std::string_view to_string(Severity severity);

/// The line, without its end. `written_ns`: CLOCK_REALTIME.
[[nodiscard]] std::string render(const Event& event, OutputFormat format, std::uint64_t written_ns);

/// The `socket` of an event.
[[nodiscard]] Json socket_json(const SocketSample& sample, std::optional<std::uint32_t> fd);

/// The `process` of an event, its name escaped.
[[nodiscard]] Json process_json(const Process& process);

}  // namespace drainwatch
