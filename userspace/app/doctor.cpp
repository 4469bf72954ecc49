#include "app/commands.hpp"
#include "app/line_queue.hpp"
#include "bpf/programs.hpp"
#include "host/capabilities.hpp"
#include "host/clock.hpp"
#include "host/proc.hpp"
#include "output/escape.hpp"
#include "output/time.hpp"

#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <algorithm>

namespace drainwatch {
namespace {

using namespace std::chrono_literals;

enum class Outcome { ok, note, bad };

/// One row: what was looked at, what was found, what it means or what to do.
struct Check {
    std::string name;
    Outcome outcome{};
    std::string found;
    std::string advice;
};

std::string_view to_string(Outcome outcome)
{
    switch (outcome) {
        case Outcome::ok: return "ok";
        case Outcome::note: return "note";
        case Outcome::bad: return "bad";
    }
    return "";
}

Check check_kernel()
{
    utsname name{};
    uname(&name);
    return {"kernel", Outcome::ok, fmt::format("{} {}", name.release, name.machine), ""};
}

Check check_btf()
{
    if (kernel_has_btf()) {
        return {"btf", Outcome::ok, "/sys/kernel/btf/vmlinux", ""};
    }
    return {"btf", Outcome::bad, "not there",
            "BPF cannot be used here: it needs kernel 5.9, or RHEL 8.4, or newer"};
}

Check check_capabilities()
{
    const auto missing = missing_capabilities();
    if (missing.empty() && !has_admin_capability()) {
        return {"permissions", Outcome::note, "CAP_BPF and CAP_PERFMON, but no CAP_SYS_ADMIN",
                "sockets that wait in other network namespaces, and who holds which descriptor, "
                "may stay unknown: run it as root"};
    }
    if (missing.empty()) {
        return {"permissions", Outcome::ok, "CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN", ""};
    }
    return {"permissions", Outcome::bad, fmt::format("{} missing", fmt::join(missing, " and ")),
            "run it as root"};
}

/// Loads every program, attaches none.
std::vector<Check> check_programs()
{
    constexpr std::uint32_t kFewSlots = 16;
    SourceReport report;
    const auto skeleton = load_programs(dw_config{}, kFewSlots, {}, report);
    std::vector<Check> checks;
    if (!skeleton) {
        checks.push_back({"programs", Outcome::bad, skeleton.error().message,
                          "see `drainwatch doctor --verbose` for the kernel's own words"});
        return checks;
    }
    for (const std::string& program : loaded_programs(**skeleton)) {
        checks.push_back({"program " + program, Outcome::ok, "loads", ""});
    }
    for (const MissingPart& missing : report.missing) {
        checks.push_back({"program " + missing.name, Outcome::note, missing.reason, missing.cost});
    }
    return checks;
}

std::vector<Check> check_targets(const Targets& targets)
{
    std::vector<Check> checks;
    const auto add = [&](const std::string& name, const std::vector<std::uint32_t>& pids) {
        if (pids.empty()) {
            checks.push_back({"target " + escape(name), Outcome::note, "is not running",
                              "watch waits for it to appear"});
        } else {
            checks.push_back({"target " + escape(name), Outcome::ok,
                              fmt::format("pid {}", fmt::join(pids, ", ")), ""});
        }
    };
    for (const std::string& name : targets.names) {
        std::vector<std::uint32_t> found;
        for (const std::uint32_t pid : proc::pids()) {
            if (proc::comm(pid) == name) {
                found.push_back(pid);
            }
        }
        add(name, found);
    }
    for (const std::uint32_t pid : targets.pids) {
        const auto comm = proc::comm(pid);
        add(fmt::format("{} {}", pid, comm.value_or("")),
            comm ? std::vector{pid} : std::vector<std::uint32_t>{});
    }
    return checks;
}

Event summary(const std::vector<Check>& checks, bool works)
{
    Event event;
    event.name = "doctor";
    event.fields["tier"] = works ? Json("bpf") : Json(nullptr);
    event.fields["checks"] = Json::array();
    for (const Check& check : checks) {
        event.fields["checks"].push_back({{"check", check.name},
                                          {"outcome", to_string(check.outcome)},
                                          {"found", check.found},
                                          {"advice", check.advice}});
    }
    return event;
}

}  // namespace

Result<int> run_doctor(const DoctorOptions& options)
{
    set_libbpf_verbosity(options.verbose);
    std::vector<Check> checks{check_kernel(), check_btf(), check_capabilities()};
    const bool may_load = std::none_of(checks.begin(), checks.end(), [](const Check& check) {
        return check.outcome == Outcome::bad;
    });
    if (may_load) {
        const auto programs = check_programs();
        checks.insert(checks.end(), programs.begin(), programs.end());
    }
    const auto targets = check_targets(options.targets);
    checks.insert(checks.end(), targets.begin(), targets.end());
    const bool works = std::none_of(checks.begin(), checks.end(), [](const Check& check) {
        return check.outcome == Outcome::bad;
    });

    LineQueue lines(STDOUT_FILENO);
    if (options.output == OutputFormat::json) {
        lines.push(render(summary(checks, works), options.output, realtime_ns()));
    } else {
        for (const Check& check : checks) {
            lines.push(fmt::format("{:<4} {:<28} {}{}{}", to_string(check.outcome), check.name,
                                   check.found, check.advice.empty() ? "" : ": ", check.advice));
        }
        lines.push(works ? "watch would run in tier bpf" : "watch would not run here");
    }
    lines.drain(1s);
    return works ? 0 : kExitCannot;
}

}  // namespace drainwatch
