#include "bpf/hooks.hpp"

#include "drainwatch.skel.h"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <algorithm>
#include <cerrno>
#include <utility>

namespace drainwatch {
namespace {

using Programs = decltype(drainwatch_bpf::progs);
using Maps = decltype(drainwatch_bpf::maps);
using Links = decltype(drainwatch_bpf::links);

/// What of the skeleton belongs to a hook.
struct HookParts {
    Hook facts;
    bpf_program* Programs::*program;
    bpf_link* Links::*link;
    /// What `program` hands events on to, by which map; or nothing.
    bpf_program* Programs::*rest;
    bpf_map* Maps::*rest_map;
};

#define DW_HOOK(name, need, cost)                                                            \
    HookParts                                                                                \
    {                                                                                        \
        {#name, DW_HOOK_##name, need, cost}, &Programs::name, &Links::name, nullptr, nullptr \
    }
#define DW_FRONT(name, need, cost)                                          \
    HookParts                                                               \
    {                                                                       \
        {#name, DW_HOOK_##name, need, cost}, &Programs::name, &Links::name, \
            &Programs::name##_rest, &Maps::rest_of_##name                   \
    }
constexpr std::array<HookParts, DW_HOOKS> kHooks{{
    DW_FRONT(tcp_probe, 1,
             "data held back by SO_RCVLOWAT is seen at the next full look; there are no TLS facts"),
    DW_FRONT(sk_data_ready, 0, "an arrival is seen with the next segment or its acknowledgement"),
    DW_HOOK(tcp_rcv_space_adjust, 0, "a read is seen with the next arrival or full look"),
    DW_HOOK(sock_recv_length, 1, "memory freed by a read is seen with the next arrival"),
    DW_FRONT(net_dev_queue, 2,
             "a zero window is seen at the next look, not on its way out; there are no TLS facts"),
    DW_HOOK(inet_sock_set_state, 0, "new connections are seen at the next full look"),
    DW_HOOK(tls_alert_send, 1,
            "alerts that the kernel's own TLS encrypts are told without their names"),
    DW_HOOK(tls_alert_recv, 1, "and so are those that it decrypts"),
    DW_HOOK(handshake_cmd_accept, 1,
            "a TLS handshake that a target does for the kernel is not seen; its socket is, at the "
            "next full look"),
    DW_HOOK(handshake_complete, 1, "how such a handshake went is told by its bytes alone"),
    DW_HOOK(tcp_destroy_sock, 0, "ended sockets keep their place in the table"),
    DW_HOOK(tcp_receive_reset, 2, "resets by the peer are not reported"),
    DW_HOOK(tcp_send_reset, 2, "resets by this side are not reported"),
    DW_HOOK(sched_process_fork, 0, "children of a target are watched only if they have its name"),
    DW_HOOK(sched_process_exec, 0, "a new target is found at the next full look"),
    DW_HOOK(task_rename, 0, "a renamed target is found at the next full look"),
    DW_HOOK(sched_process_exit, 0, "the end of a target is seen at the next full look"),
}};
#undef DW_FRONT
#undef DW_HOOK

/// Without sk_data_ready, these two tell of arrivals.
unsigned need_of(const drainwatch_bpf& skeleton, const HookParts& hook)
{
    const bool stands_in =
        hook.facts.number == DW_HOOK_tcp_probe || hook.facts.number == DW_HOOK_net_dev_queue;
    return stands_in && skeleton.rodata->config.arrivals_by_probe ? 0 : hook.facts.need;
}

void select(const drainwatch_bpf& skeleton, const HookParts& hook, bool selected)
{
    bpf_program__set_autoload(skeleton.progs.*hook.program, selected);
    if (hook.rest != nullptr) {
        bpf_program__set_autoload(skeleton.progs.*hook.rest, selected);
        bpf_map__set_autocreate(skeleton.maps.*hook.rest_map, selected);
    }
}

/// Returns 0, or the error number.
int hand_on(const drainwatch_bpf& skeleton, const HookParts& hook)
{
    if (hook.rest == nullptr) {
        return 0;
    }
    const __u32 first = 0;
    const int rest = bpf_program__fd(skeleton.progs.*hook.rest);
    return -bpf_map_update_elem(bpf_map__fd(skeleton.maps.*hook.rest_map), &first, &rest, BPF_ANY);
}

Result<void> attach(drainwatch_bpf& skeleton, const HookParts& hook)
{
    bpf_link* link = bpf_program__attach(skeleton.progs.*hook.program);
    if (link == nullptr) {
        return tl::unexpected(system_error("attach", std::string(hook.facts.tracepoint), errno));
    }
    skeleton.links.*hook.link = link;
    return {};
}

void detach(drainwatch_bpf& skeleton, const HookParts& hook)
{
    bpf_link__destroy(std::exchange(skeleton.links.*hook.link, nullptr));
}

}  // namespace

Hooks hooks()
{
    Hooks facts{};
    std::transform(kHooks.begin(), kHooks.end(), facts.begin(),
                   [](const HookParts& hook) { return hook.facts; });
    return facts;
}

void select_hooks(const drainwatch_bpf& skeleton, const HookSelection& selected)
{
    for (std::size_t i = 0; i < kHooks.size(); i++) {
        select(skeleton, kHooks[i], selected[i]);
    }
}

int connect_hooks(const drainwatch_bpf& skeleton, const HookSelection& selected)
{
    for (std::size_t i = 0; i < kHooks.size(); i++) {
        const int error = selected[i] ? hand_on(skeleton, kHooks[i]) : 0;
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

std::vector<std::string> loaded_programs(const drainwatch_bpf& skeleton)
{
    std::vector<std::string> names;
    for (const HookParts& hook : kHooks) {
        if (bpf_program__fd(skeleton.progs.*hook.program) >= 0) {
            names.emplace_back(hook.facts.tracepoint);
        }
    }
    return names;
}

Result<void> attach_programs(drainwatch_bpf& skeleton, SourceReport& report)
{
    Error last_error;
    for (const HookParts& hook : kHooks) {
        if (bpf_program__fd(skeleton.progs.*hook.program) < 0) {
            continue;  // already in the report
        }
        if (const auto attached = attach(skeleton, hook); !attached) {
            last_error = attached.error();
            report.missing.push_back({std::string(hook.facts.tracepoint), last_error.message,
                                      std::string(hook.facts.cost)});
            continue;
        }
        report.attached.emplace_back(hook.facts.tracepoint);
    }
    if (skeleton.links.sk_data_ready == nullptr && skeleton.links.tcp_probe == nullptr) {
        return tl::unexpected(last_error);
    }
    return {};
}

void detach_programs(drainwatch_bpf& skeleton)
{
    for (const HookParts& hook : kHooks) {
        detach(skeleton, hook);
    }
}

namespace {

/// Of all CPUs.
struct AllRuns {
    std::uint64_t watched = 0;
    std::array<HookRuns, DW_RUNS> of{};  ///< by dw_hook, and DW_RUNS_STREAMS
};

AllRuns read_runs(const drainwatch_bpf& skeleton)
{
    AllRuns sums;
    const __u32 cpus = bpf_map__max_entries(skeleton.maps.runs);
    for (__u32 cpu = 0; cpu < cpus; cpu++) {
        dw_runs runs{};
        if (bpf_map_lookup_elem(bpf_map__fd(skeleton.maps.runs), &cpu, &runs) != 0) {
            continue;
        }
        sums.watched += runs.watched;
        for (std::size_t what = 0; what < DW_RUNS; what++) {
            sums.of[what].count += runs.count[what];
            sums.of[what].timed += runs.timed[what].runs;
            sums.of[what].timed_ns += runs.timed[what].ns;
        }
    }
    return sums;
}

}  // namespace

HookRuns read_stream_runs(const drainwatch_bpf& skeleton)
{
    return read_runs(skeleton).of[DW_RUNS_STREAMS];
}

std::vector<HookUse> read_hooks(const drainwatch_bpf& skeleton, std::uint64_t way_ns)
{
    auto runs = read_runs(skeleton).of;
    std::vector<HookUse> uses;
    for (const HookParts& hook : kHooks) {
        if (bpf_program__fd(skeleton.progs.*hook.program) < 0) {
            continue;
        }
        runs.at(hook.facts.number).way_ns = way_ns;
        uses.push_back({std::string(hook.facts.tracepoint), std::string(hook.facts.cost),
                        need_of(skeleton, hook), skeleton.links.*hook.link != nullptr,
                        runs.at(hook.facts.number)});
    }
    return uses;
}

Result<void> set_attached(drainwatch_bpf& skeleton, const std::string& tracepoint, bool attached)
{
    const auto* hook = std::find_if(kHooks.begin(), kHooks.end(), [&](const HookParts& h) {
        return h.facts.tracepoint == tracepoint;
    });
    if (hook == kHooks.end()) {
        return fail(fmt::format("there is no hook {}", tracepoint));
    }
    detach(skeleton, *hook);
    return attached ? attach(skeleton, *hook) : Result<void>{};
}

std::uint64_t watched_runs(const drainwatch_bpf& skeleton)
{
    return read_runs(skeleton).watched;
}

std::uint64_t missed_runs(const drainwatch_bpf& skeleton)
{
    std::uint64_t missed = 0;
    for (const HookParts& hook : kHooks) {
        const int fd = bpf_program__fd(skeleton.progs.*hook.program);
        bpf_prog_info info{};
        __u32 length = sizeof(info);
        if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &length) == 0) {
            missed += info.recursion_misses;
        }
    }
    return missed;
}

}  // namespace drainwatch
