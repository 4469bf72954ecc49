#include "app/checks.hpp"

#include "bpf/hooks.hpp"
#include "bpf/kernel_btf.hpp"
#include "bpf/programs.hpp"
#include "drainwatch/socket_track.h"
#include "host/capabilities.hpp"
#include "host/kernel.hpp"
#include "host/proc.hpp"
#include "host/tls_library.hpp"
#include "output/escape.hpp"
#include "poll/descriptors.hpp"
#include "poll/namespace.hpp"
#include "poll/poll_source.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <algorithm>

namespace drainwatch {
namespace {

using Checks = std::vector<Check>;

bool all_well(const Checks& checks)
{
    return std::none_of(checks.begin(), checks.end(),
                        [](const Check& check) { return check.outcome == Outcome::bad; });
}

void add(Checks& to, Checks more)
{
    std::move(more.begin(), more.end(), std::back_inserter(to));
}

Check check_kernel()
{
    utsname name{};
    uname(&name);
    return {"kernel", Outcome::ok, fmt::format("{} {}", name.release, name.machine), ""};
}

Check check_btf()
{
    if (KernelBtf::load()) {
        return {"btf", Outcome::ok, "/sys/kernel/btf/vmlinux", ""};
    }
    return {"btf", Outcome::bad, "this kernel does not describe itself",
            "BPF cannot be used here: it needs Linux 5.9, or RHEL 8.4, or newer"};
}

Check check_lockdown()
{
    const std::string mode = lockdown_mode();
    if (mode == "confidentiality") {
        return {"lockdown", Outcome::bad, mode,
                "BPF may not read kernel memory; it is set on the kernel command line, or by "
                "Secure Boot"};
    }
    return {"lockdown", Outcome::ok,
            mode.empty() ? "nothing in /sys/kernel/security/lockdown" : mode, ""};
}

Check check_capabilities()
{
    const auto missing = missing_capabilities();
    if (!missing.empty()) {
        return {"permissions", Outcome::bad, fmt::format("{} missing", fmt::join(missing, ", ")),
                "run it as root to use BPF"};
    }
    if (!has_admin_capability()) {
        return {"permissions", Outcome::note, "CAP_BPF and CAP_PERFMON, but no CAP_SYS_ADMIN",
                "connections that wait in other network namespaces, and who holds which "
                "descriptor, may stay unknown: run it as root"};
    }
    return {"permissions", Outcome::ok, "CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN", ""};
}

Check check_pids()
{
    if (!proc::pids_are_the_kernels()) {
        return {"pids", Outcome::bad, "this is a container with pids of its own",
                "BPF sees other pids than /proc tells here: run it on the host, or in the host's "
                "PID namespace"};
    }
    return {"pids", Outcome::ok, "those that the kernel knows", ""};
}

Check check_memlock()
{
    rlimit limit{};
    getrlimit(RLIMIT_MEMLOCK, &limit);
    if (limit.rlim_cur == RLIM_INFINITY) {
        return {"memlock", Outcome::ok, "unlimited", ""};
    }
    const std::string found = fmt::format("{} KiB", limit.rlim_cur / 1024);
    if (kernel_is_at_least(5, 11)) {
        return {"memlock", Outcome::ok, found + ", which maps do not count against", ""};
    }
    return {"memlock", Outcome::note, found,
            "before Linux 5.11 maps count against it: watch raises it, or takes a smaller table"};
}

dw_config with_everything()
{
    dw_config config{};
    config.tls = true;
    return config;
}

/// Loads every program, attaches none.
Checks check_programs()
{
    constexpr std::uint32_t kFewSlots = 256;
    SourceReport report;
    const auto skeleton = load_programs(with_everything(), kFewSlots, {}, report);
    if (!skeleton) {
        return {{"programs", Outcome::bad, skeleton.error().message,
                 "`drainwatch doctor --verbose` shows the kernel's own words"}};
    }
    Checks checks;
    for (const std::string& program : loaded_programs(**skeleton)) {
        checks.push_back({"program " + program, Outcome::ok, "loads", ""});
    }
    for (const MissingPart& missing : report.missing) {
        checks.push_back({"program " + missing.name, Outcome::note, missing.reason, missing.cost});
    }
    return checks;
}

/// Every way to ask for sockets, as the poll tier does.
Checks check_tables()
{
    Checks checks;
    std::vector<std::string> without;
    SideThreads threads;
    const auto own = static_cast<std::uint32_t>(getpid());
    while (true) {
        const auto opened = open_namespace(own, without, threads);
        if (!opened) {
            if (checks.empty()) {
                checks.push_back({"sockets", Outcome::bad, opened.error().message,
                                  "they cannot be polled: is /proc mounted?"});
            }
            return checks;
        }
        checks.push_back({"sockets by " + opened->way, Outcome::ok, "answers", ""});
        if (!opened->tells_windows) {
            if (checks.size() == 1) {
                checks.back().outcome = Outcome::note;
                checks.back().advice = "polling would see no windows: sock_diag is refused";
            }
            return checks;
        }
        without.push_back(opened->way);
    }
}

/// "3 listeners, 12 connections, 1 of them with unread data"
Result<std::string> sockets_in_words(std::uint32_t pid, const Targets& targets)
{
    Descriptors descriptors;
    descriptors.walk({pid});
    SideThreads threads;
    const auto in = open_namespace(pid, {}, threads);
    if (!in) {
        return tl::unexpected(in.error());
    }
    unsigned listeners = 0;
    unsigned connections = 0;
    unsigned unread = 0;
    const auto listed = in->table->list(targets.ports, [&](const SocketState& socket) {
        if (!descriptors.holder(socket.inode)) {
            return;
        }
        if (socket.state == DW_TCP_LISTEN) {
            listeners++;
        } else {
            connections++;
            unread += socket.recv_queue > 0;
        }
    });
    if (!listed) {
        return tl::unexpected(listed.error());
    }
    return fmt::format("{} listeners, {} connections{}, {} of them with unread data", listeners,
                       connections, targets.ports.empty() ? "" : " on these ports", unread);
}

Check check_process(const std::string& name, std::uint32_t pid, const Targets& targets)
{
    const std::string row = fmt::format("target {} {}", escape(name), pid);
    if (!proc::descriptors_can_be_read(pid)) {
        return {row, Outcome::bad, "its descriptors cannot be read",
                "run this as root, or as the user of that process"};
    }
    const auto sockets = sockets_in_words(pid, targets);
    if (!sockets) {
        return {row, Outcome::note, sockets.error().message,
                "its sockets cannot be listed from here; BPF may see them"};
    }
    return {row, Outcome::ok, *sockets, ""};
}

/// What it speaks TLS with, and whether `profile` can trace that.
Checks check_tls_libraries(const std::string& name, std::uint32_t pid)
{
    Checks checks;
    for (const TlsLibrary& library : TlsLibraries().of(pid)) {
        const std::string calls =
            library.functions.empty() ? "its calls cannot be traced: " + library.why_not
            : kernel_has_uprobes()
                ? library.measured_calls() + " can be traced"
                : "its calls cannot be traced: this kernel does not trace user programs";
        checks.push_back({fmt::format("tls of {} {}", escape(name), pid), Outcome::ok,
                          fmt::format("{}, {}; {}", library.name, escape(library.path), calls),
                          ""});
    }
    return checks;
}

void add_process(Checks& checks, const std::string& name, std::uint32_t pid, const Targets& targets)
{
    checks.push_back(check_process(name, pid, targets));
    add(checks, check_tls_libraries(name, pid));
}

Checks check_targets(const Targets& targets)
{
    Checks checks;
    const auto not_running = [&](const std::string& name) {
        checks.push_back(
            {"target " + name, Outcome::note, "is not running", "watch waits for it to appear"});
    };
    for (const std::string& name : targets.names) {
        const std::size_t before = checks.size();
        for (const std::uint32_t pid : proc::pids()) {
            if (proc::comm(pid) == name) {
                add_process(checks, name, pid, targets);
            }
        }
        if (checks.size() == before) {
            not_running(escape(name));
        }
    }
    for (const std::uint32_t pid : targets.pids) {
        if (const auto comm = proc::comm(pid)) {
            add_process(checks, *comm, pid, targets);
        } else {
            not_running(std::to_string(pid));
        }
    }
    return checks;
}

/// One target whose sockets can be seen is enough to watch, as it is for the poll tier itself.
bool targets_can_be_polled(const Checks& of_targets)
{
    return all_well(of_targets) ||
           std::any_of(of_targets.begin(), of_targets.end(),
                       [](const Check& check) { return check.outcome == Outcome::ok; });
}

std::string joined_costs(const Checks& checks)
{
    std::vector<std::string> costs;
    for (const Check& check : checks) {
        if (check.outcome == Outcome::note) {
            costs.push_back(check.advice);
        }
    }
    return fmt::format("{}", fmt::join(costs, "; "));
}

}  // namespace

Diagnosis diagnose(const Targets& targets)
{
    Diagnosis diagnosis;
    Checks bpf{check_btf(), check_lockdown(), check_capabilities(), check_pids(), check_memlock()};
    Checks programs;
    if (all_well(bpf)) {
        programs = check_programs();
    }
    const Checks tables = check_tables();
    const Checks of_targets = check_targets(targets);
    if (all_well(bpf) && all_well(programs)) {
        diagnosis.tier = Tier::bpf;
        diagnosis.blind_spots = joined_costs(programs);
    } else if (all_well(tables) && targets_can_be_polled(of_targets)) {
        diagnosis.tier = Tier::poll;
        diagnosis.blind_spots = PollSource::blind_spots();
    }
    diagnosis.checks.push_back(check_kernel());
    add(diagnosis.checks, std::move(bpf));
    add(diagnosis.checks, std::move(programs));
    add(diagnosis.checks, tables);
    add(diagnosis.checks, of_targets);
    return diagnosis;
}

}  // namespace drainwatch
