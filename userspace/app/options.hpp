#pragma once

#include "cmlog/time_zone.hpp"
#include "detect/finding.hpp"
#include "drainwatch/profile_abi.h"
#include "drainwatch/result.hpp"
#include "drainwatch/source.hpp"
#include "output/event.hpp"
#include "tls/version.hpp"

#include <chrono>
#include <optional>
#include <variant>

namespace drainwatch {

struct WatchOptions {
    Targets targets;
    Limits limits;
    OutputFormat output = OutputFormat::text;
    std::chrono::nanoseconds duration = std::chrono::hours(4);  ///< 0: until told to stop
    std::chrono::nanoseconds tick = std::chrono::milliseconds(50);
    std::uint32_t max_sockets = SourceOptions{}.max_sockets;
    double cpu_budget = 0.01;            ///< share of one core; 0: no limit
    bool tls = true;                     ///< look for TLS facts
    bool cause = true;                   ///< say what a process does that does not read
    tls::Version tls_min = tls::kTls12;  ///< an older one is a mismatch
    std::vector<std::string> cm_logs;    ///< paths
    cmlog::TimeZone log_timezone = cmlog::TimeZone::local();
    std::optional<Tier> tier;          ///< nothing: the best that works
    std::vector<std::string> without;  ///< parts not to use
    bool verbose = false;
};

struct ProfileOptions {
    Targets targets;
    OutputFormat output = OutputFormat::text;
    std::chrono::nanoseconds duration = std::chrono::seconds(10);  ///< 0: until told to stop
    dw_grouping grouping = DW_GROUP_ALL;
    std::string stacks;       ///< file for the stacks of waits; empty: none
    std::string save;         ///< file for the profile itself; empty: none
    std::string compare;      ///< file that was saved earlier; empty: none
    std::string tls_library;  ///< file to trace; empty: what each target has mapped
    bool verbose = false;
};

struct DoctorOptions {
    Targets targets;
    OutputFormat output = OutputFormat::text;
    bool verbose = false;
};

struct DemoOptions {
    OutputFormat output = OutputFormat::text;
    bool verbose = false;
};

/// A text to print, and no more: --help, --version.
struct HelpText {
    std::string text;
};

using Command = std::variant<WatchOptions, ProfileOptions, DoctorOptions, DemoOptions, HelpText>;

/// What --without can name.
[[nodiscard]] std::vector<std::string> part_names();

/// The command line. The error is one sentence.
[[nodiscard]] Result<Command> parse_command_line(int argc, const char* const* argv);

}  // namespace drainwatch
