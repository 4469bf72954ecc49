#include "app/options.hpp"

#include "app/duration.hpp"
#include "app/share.hpp"
#include "app/version.hpp"
#include "bpf/programs.hpp"
#include "output/escape.hpp"
#include "poll/namespace.hpp"
#include "profile/units.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <map>
#include <set>

namespace drainwatch {
namespace {

constexpr std::size_t kLongestName = DW_COMM_LEN - 1;
constexpr std::uint32_t kLargestTable = 1U << 20;

CLI::Validator duration_validator()
{
    return {[](std::string& text) -> std::string {
                const auto parsed = parse_duration(text);
                if (!parsed) {
                    return parsed.error().message;
                }
                text = std::to_string(parsed->count());
                return {};
            },
            "DURATION", "duration"};
}

CLI::Validator name_validator()
{
    return {[](std::string& name) -> std::string {
                if (name.empty()) {
                    return "a process name cannot be empty";
                }
                if (name.size() > kLongestName) {
                    return fmt::format(
                        "\"{}\" can never match: the kernel keeps {} bytes of a "
                        "name, so give \"{}\"",
                        escape(name), kLongestName, escape(name.substr(0, kLongestName)));
                }
                return {};
            },
            "NAME", "name"};
}

/// What CLI11 fills in: durations as nanoseconds.
struct Raw {
    Targets targets;
    std::map<std::string, std::int64_t> durations;  ///< of watch
    std::int64_t measuring_ns = 0;                  ///< of profile
    OutputFormat output = OutputFormat::text;
    std::optional<Tier> tier;
    std::uint32_t max_sockets = WatchOptions{}.max_sockets;
    std::vector<std::string> without;
    std::string cpu_budget = "1%";
    bool no_tls = false;
    bool no_cause = false;
    std::string tls_min = "1.2";
    std::vector<std::string> cm_logs;
    std::string log_timezone;
    dw_grouping grouping = DW_GROUP_ALL;
    std::string stacks;
    std::string save;
    std::string compare;
    std::string tls_library;
    bool verbose = false;
};

void add_duration(CLI::App& command, std::int64_t& value, const std::string& name,
                  std::chrono::nanoseconds preset, const std::string& shown,
                  const std::string& help)
{
    value = preset.count();
    command.add_option("--" + name, value, help)
        ->transform(duration_validator())
        ->option_text("DURATION [" + shown + "]");
}

/// One of some words, each of which stands for a value. `values` outlives the command.
template <typename Value>
CLI::Option* add_choice(CLI::App& command, const std::string& name, Value& value,
                        const std::map<std::string, Value>& values, const std::string& help)
{
    return command
        .add_option_function<std::string>(
            name, [&](const std::string& word) { value = values.at(word); }, help)
        ->check(CLI::IsMember(values).description(""));
}

void add_output(CLI::App& command, Raw& raw)
{
    static const std::map<std::string, OutputFormat> kFormats{{"text", OutputFormat::text},
                                                              {"json", OutputFormat::json}};
    add_choice(command, "--output", raw.output, kFormats, "text, or json: one object a line")
        ->option_text("text|json [text]");
    command.add_flag("--verbose", raw.verbose,
                     "print libbpf's own messages to stderr; watch: print how each episode stands, "
                     "every tick");
}

void add_targets(CLI::App& command, Raw& raw)
{
    command.add_option("--process", raw.targets.names, "process by its exact name; repeatable")
        ->check(name_validator())
        ->option_text("NAME [gip]");
    command.add_option("--pid", raw.targets.pids, "process by its pid; repeatable")
        ->check(CLI::Range(1, 1 << 22).description(""))
        ->option_text("PID");
    command
        .add_option("--port", raw.targets.ports, "only this TCP port, local or remote; repeatable")
        ->check(CLI::Range(1, 65535).description(""))
        ->option_text("PORT");
    command.add_flag("--all", raw.targets.all, "every process");
}

void add_tier(CLI::App& command, Raw& raw)
{
    static const std::map<std::string, std::optional<Tier>> kTiers{
        {"auto", std::nullopt}, {"bpf", Tier::bpf}, {"poll", Tier::poll}};
    add_choice(command, "--tier", raw.tier, kTiers,
               "how to watch: by BPF, or by asking again and again")
        ->option_text("auto|bpf|poll [auto]");
}

void add_profile_options(CLI::App& command, Raw& raw)
{
    static const std::map<std::string, dw_grouping> kGroupings{
        {"process", DW_GROUP_PROCESS}, {"socket", DW_GROUP_SOCKET}, {"thread", DW_GROUP_THREAD}};
    add_choice(command, "--per", raw.grouping, kGroupings, "report each of these as well")
        ->option_text("process|socket|thread");
    command
        .add_option("--stacks", raw.stacks,
                    "write where readers were while data waited, folded, one stack a line")
        ->option_text("FILE");
    command.add_option("--save", raw.save, "keep the profile, for --compare")->option_text("FILE");
    command.add_option("--compare", raw.compare, "show a saved profile next to this one")
        ->option_text("FILE");
    command
        .add_option("--tls-library", raw.tls_library,
                    "trace the TLS calls in this file; without it, in what the target has mapped")
        ->option_text("PATH");
}

std::string in_words(std::chrono::nanoseconds duration)
{
    return duration_in_words(static_cast<double>(duration.count()));
}

/// The first of each stays where it is.
template <typename Value>
void drop_doubles(std::vector<Value>& values)
{
    std::set<Value> seen;
    std::erase_if(values, [&](const Value& value) { return !seen.insert(value).second; });
}

Result<Targets> check_targets(Targets targets)
{
    drop_doubles(targets.names);
    drop_doubles(targets.pids);
    drop_doubles(targets.ports);
    if (targets.all && !(targets.names.empty() && targets.pids.empty())) {
        return fail("--all means every process: leave out --process and --pid, or leave out --all");
    }
    if (targets.names.size() > DW_MAX_NAMES) {
        return fail(
            fmt::format("--process can be given {} times at most: use --all", DW_MAX_NAMES));
    }
    if (targets.ports.size() > DW_MAX_PORTS) {
        return fail(
            fmt::format("--port can be given {} times at most: leave it out", DW_MAX_PORTS));
    }
    if (!targets.all && targets.names.empty() && targets.pids.empty()) {
        targets.names.emplace_back("gip");
    }
    return targets;
}

Result<Command> watch_command(const Raw& raw)
{
    auto targets = check_targets(raw.targets);
    if (!targets) {
        return tl::unexpected(targets.error());
    }
    const auto duration = [&](const char* name) {
        return std::chrono::nanoseconds(raw.durations.at(name));
    };
    WatchOptions options;
    options.targets = std::move(*targets);
    options.limits = {duration("warn-after"), duration("critical-after"), duration("horizon")};
    options.output = raw.output;
    options.duration = duration("duration");
    options.tick = duration("tick");
    options.max_sockets = raw.max_sockets;
    options.tls = !raw.no_tls;
    options.cause = !raw.no_cause;
    options.tls_min = *tls::parse_version(raw.tls_min);
    options.cm_logs = raw.cm_logs;
    if (!raw.log_timezone.empty()) {
        auto zone = cmlog::TimeZone::named(raw.log_timezone);
        if (!zone) {
            return fail("--log-timezone: " + zone.error().message);
        }
        options.log_timezone = *zone;
    }
    options.tier = raw.tier;
    const auto budget = parse_share(raw.cpu_budget);
    if (!budget) {
        return fail("--cpu-budget: " + budget.error().message);
    }
    options.cpu_budget = *budget;
    options.without = raw.without;
    options.verbose = raw.verbose;
    if (options.limits.warn_after.count() == 0) {
        return fail("--warn-after must be longer than 0");
    }
    if (options.limits.critical_after < options.limits.warn_after) {
        return fail(fmt::format(
            "--critical-after, which is {}, must not be shorter than --warn-after, which "
            "is {}: give both",
            in_words(options.limits.critical_after), in_words(options.limits.warn_after)));
    }
    if (options.tick < std::chrono::milliseconds(1) || options.tick > std::chrono::seconds(10)) {
        return fail("--tick must be between 1ms and 10s");
    }
    return options;
}

Result<Command> profile_command(const Raw& raw)
{
    auto targets = check_targets(raw.targets);
    if (!targets) {
        return tl::unexpected(targets.error());
    }
    ProfileOptions options;
    options.targets = std::move(*targets);
    options.output = raw.output;
    options.duration = std::chrono::nanoseconds(raw.measuring_ns);
    options.grouping = raw.grouping;
    options.stacks = raw.stacks;
    options.save = raw.save;
    options.compare = raw.compare;
    options.tls_library = raw.tls_library;
    options.verbose = raw.verbose;
    return options;
}

/// CLI11 names the option and repeats what it got; keep it to one line.
std::string one_line(std::string text)
{
    for (std::size_t at = 0; (at = text.find('\n', at)) != std::string::npos;) {
        text.replace(at, 1, " ");
    }
    return escape(text);
}

}  // namespace

std::vector<std::string> part_names()
{
    auto names = hook_names();
    const auto tables = table_names();
    names.insert(names.end(), tables.begin(), tables.end());
    return names;
}

Result<Command> parse_command_line(int argc, const char* const* argv)
{
    const WatchOptions preset;
    CLI::App app(
        "Says that a process has stopped draining its TCP socket, before the kernel "
        "announces a zero window.",
        "drainwatch");
    app.require_subcommand(1);
    app.set_version_flag("--version", fmt::format("drainwatch {}\n", version()),
                         "print the version and the commit it was built from");
    Raw raw;

    CLI::App* watch = app.add_subcommand("watch", "watch, warn, clear");
    add_targets(*watch, raw);
    add_duration(*watch, raw.durations["duration"], "duration", preset.duration, "4h",
                 "stop after this; 0 never");
    add_duration(*watch, raw.durations["warn-after"], "warn-after", preset.limits.warn_after, "1s",
                 "age of the oldest unread byte, with no read since, that is a warning");
    add_duration(*watch, raw.durations["critical-after"], "critical-after",
                 preset.limits.critical_after, "2s", "and that is critical");
    add_duration(*watch, raw.durations["horizon"], "horizon", preset.limits.horizon, "5s",
                 "warn of a zero window that is nearer than this");
    add_duration(*watch, raw.durations["tick"], "tick", preset.tick, "50ms",
                 "how often to look where no event comes");
    add_tier(*watch, raw);
    watch
        ->add_option("--cpu-budget", raw.cpu_budget,
                     "do without something rather than take more of one core; 0 no limit")
        ->option_text("PERCENT [1%]");
    watch->add_option("--max-sockets", raw.max_sockets, "followed at once, at most")
        ->check(CLI::Range(16U, kLargestTable).description(""))
        ->option_text("COUNT [65536]");
    watch
        ->add_option("--without", raw.without,
                     "do without this tracepoint, or other part; repeatable")
        ->check(CLI::IsMember(part_names()).description(""))
        ->option_text("PART");
    watch->add_flag("--no-tls", raw.no_tls, "do not look for TLS handshakes and alerts");
    watch->add_flag("--no-cause", raw.no_cause,
                    "do not look for what a process does that does not read");
    watch->add_option("--tls-min", raw.tls_min, "an older TLS version is a mismatch")
        ->check(CLI::IsMember({"1.0", "1.1", "1.2", "1.3"}).description(""))
        ->option_text("1.0|1.1|1.2|1.3 [1.2]");
    watch->add_option("--cm-log", raw.cm_logs, "follow this Communication Manager log; repeatable")
        ->option_text("PATH");
    watch->add_option("--log-timezone", raw.log_timezone, "where its times are those of the clock")
        ->option_text("NAME [this host's]");
    add_output(*watch, raw);

    CLI::App* profile =
        app.add_subcommand("profile", "measure how fast a process reads, and what it does instead");
    add_targets(*profile, raw);
    add_duration(*profile, raw.measuring_ns, "duration", ProfileOptions{}.duration, "10s",
                 "measure for this long; 0 until told to stop");
    add_profile_options(*profile, raw);
    add_output(*profile, raw);

    CLI::App* doctor = app.add_subcommand("doctor", "what this host offers for watching");
    add_targets(*doctor, raw);
    add_output(*doctor, raw);

    CLI::App* demo =
        app.add_subcommand("demo", "a link on loopback whose reader stops: see it warned of");
    add_output(*demo, raw);

    try {
        app.parse(argc, argv);
    } catch (const CLI::CallForVersion& version_text) {
        return HelpText{version_text.what()};
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
            const auto chosen = app.get_subcommands();
            return HelpText{chosen.empty() ? app.help() : chosen.front()->help(app.get_name())};
        }
        if (argc > 1 && argv[1][0] != '-' && app.get_subcommands().empty()) {
            return fail(
                fmt::format("there is no command \"{}\"; see drainwatch --help", escape(argv[1])));
        }
        return fail(one_line(error.what()) + "; see drainwatch --help");
    }
    if (watch->parsed()) {
        return watch_command(raw);
    }
    if (profile->parsed()) {
        return profile_command(raw);
    }
    if (doctor->parsed()) {
        auto targets = check_targets(raw.targets);
        if (!targets) {
            return tl::unexpected(targets.error());
        }
        return DoctorOptions{std::move(*targets), raw.output, raw.verbose};
    }
    return DemoOptions{raw.output, raw.verbose};
}

}  // namespace drainwatch
