#include "bpf/programs.hpp"

#include "drainwatch.skel.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <fmt/format.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <string_view>

namespace drainwatch {
namespace {

using Programs = decltype(drainwatch_bpf::progs);
using Links = decltype(drainwatch_bpf::links);

/// A tracepoint that is hooked, and what is lost where the kernel has none.
struct Hook {
    std::string_view tracepoint;
    bpf_program* Programs::*program;
    bpf_link* Links::*link;
    std::string_view cost;
};

#define DW_HOOK(name, cost)                        \
    Hook                                           \
    {                                              \
#name, &Programs::name, &Links::name, cost \
    }
constexpr std::array kHooks{
    DW_HOOK(tcp_probe, "data held back by SO_RCVLOWAT is seen at the next full look"),
    DW_HOOK(sk_data_ready, "an arrival is seen with the next segment or full look"),
    DW_HOOK(tcp_rcv_space_adjust, "a read is seen with the next arrival or full look"),
    DW_HOOK(sock_recv_length, "memory freed by a read is seen with the next arrival"),
    DW_HOOK(net_dev_queue, "zero windows are not seen on their way out"),
    DW_HOOK(inet_sock_set_state, "new connections are seen at the next full look"),
    DW_HOOK(tcp_destroy_sock, "ended sockets keep their place in the table"),
    DW_HOOK(tcp_receive_reset, "resets by the peer are not reported"),
    DW_HOOK(tcp_send_reset, "resets by this side are not reported"),
    DW_HOOK(sched_process_fork, "children of a target are watched only if they have its name"),
    DW_HOOK(sched_process_exec, "a new target is found at the next full look"),
    DW_HOOK(task_rename, "a renamed target is found at the next full look"),
    DW_HOOK(sched_process_exit, "the end of a target is seen at the next full look"),
};
#undef DW_HOOK

int print_nothing(libbpf_print_level /*level*/, const char* /*format*/, va_list /*args*/)
{
    return 0;
}

int print_to_stderr(libbpf_print_level level, const char* format, va_list args)
{
    return level == LIBBPF_DEBUG ? 0 : vfprintf(stderr, format, args);
}

struct BtfDeleter {
    void operator()(btf* b) const { btf__free(b); }
};
using Btf = std::unique_ptr<btf, BtfDeleter>;

bool has_tracepoint(const btf& kernel, std::string_view tracepoint)
{
    const std::string name = fmt::format("btf_trace_{}", tracepoint);
    return btf__find_by_name_kind(&kernel, name.c_str(), BTF_KIND_TYPEDEF) > 0;
}

Result<Skeleton> open_skeleton(const dw_config& config, std::uint32_t slots)
{
    Skeleton skeleton(drainwatch_bpf__open());
    if (!skeleton) {
        return tl::unexpected(system_error("open", "the BPF object", errno));
    }
    // The skeleton declares its copy const; this is the one place where it is written.
    const_cast<dw_config&>(
        *reinterpret_cast<const volatile dw_config*>(&skeleton->rodata->config)) = config;
    for (bpf_map* map :
         {skeleton->maps.slots, skeleton->maps.attention, skeleton->maps.free_slots}) {
        bpf_map__set_max_entries(map, slots);
    }
    return skeleton;
}

using Selection = std::array<bool, kHooks.size()>;

bool is_selected(const Selection& selected, std::string_view tracepoint)
{
    for (std::size_t i = 0; i < kHooks.size(); i++) {
        if (kHooks[i].tracepoint == tracepoint) {
            return selected[i];
        }
    }
    return false;
}

/// 0, or the error number of the load.
Result<Skeleton> load_selection(dw_config config, std::uint32_t slots, const Selection& selected,
                                int& error_number)
{
    config.arrivals_by_probe = !is_selected(selected, "sk_data_ready");
    auto skeleton = open_skeleton(config, slots);
    if (!skeleton) {
        return skeleton;
    }
    for (std::size_t i = 0; i < kHooks.size(); i++) {
        bpf_program__set_autoload((*skeleton)->progs.*kHooks[i].program, selected[i]);
    }
    error_number = -drainwatch_bpf__load(skeleton->get());
    return skeleton;
}

}  // namespace

void SkeletonDeleter::operator()(drainwatch_bpf* skeleton) const
{
    drainwatch_bpf__destroy(skeleton);
}

void set_libbpf_verbosity(bool verbose)
{
    libbpf_set_print(verbose ? print_to_stderr : print_nothing);
}

bool kernel_has_btf()
{
    return Btf(btf__load_vmlinux_btf()) != nullptr;
}

std::vector<std::string> hook_names()
{
    std::vector<std::string> names(kHooks.size());
    std::transform(kHooks.begin(), kHooks.end(), names.begin(),
                   [](const Hook& hook) { return std::string(hook.tracepoint); });
    return names;
}

Result<Skeleton> load_programs(const dw_config& config, std::uint32_t slots,
                               const std::vector<std::string>& without, SourceReport& report)
{
    const Btf kernel(btf__load_vmlinux_btf());
    if (!kernel) {
        return fail(
            "this kernel has no BTF (/sys/kernel/btf/vmlinux); BPF needs kernel 5.12, or RHEL "
            "8.6, or newer");
    }
    Selection selected{};
    const auto leave_out = [&](std::size_t i, std::string reason) {
        selected[i] = false;
        report.missing.push_back(
            {std::string(kHooks[i].tracepoint), std::move(reason), std::string(kHooks[i].cost)});
    };
    for (std::size_t i = 0; i < kHooks.size(); i++) {
        selected[i] = true;
        if (std::find(without.begin(), without.end(), kHooks[i].tracepoint) != without.end()) {
            leave_out(i, "left out by --without");
        } else if (!has_tracepoint(*kernel, kHooks[i].tracepoint)) {
            leave_out(i, "this kernel has no such tracepoint");
        }
    }
    int error = 0;
    auto skeleton = load_selection(config, slots, selected, error);
    if (!skeleton || error == 0) {
        return skeleton;
    }
    // Something is refused: find out what, one by one, and go on with the rest.
    for (std::size_t i = 0; i < kHooks.size(); i++) {
        if (!selected[i]) {
            continue;
        }
        Selection only{};
        only[i] = true;
        int refused = 0;
        const auto trial = load_selection(config, slots, only, refused);
        if (!trial || refused != 0) {
            leave_out(i, system_error("load", std::string(kHooks[i].tracepoint), refused).message);
        }
    }
    if (std::none_of(selected.begin(), selected.end(), [](bool s) { return s; })) {
        return tl::unexpected(system_error("load", "the BPF programs", error));
    }
    skeleton = load_selection(config, slots, selected, error);
    if (skeleton && error != 0) {
        return tl::unexpected(system_error("load", "the BPF programs", error));
    }
    return skeleton;
}

std::vector<std::string> loaded_programs(const drainwatch_bpf& skeleton)
{
    std::vector<std::string> names;
    for (const Hook& hook : kHooks) {
        if (bpf_program__fd(skeleton.progs.*hook.program) >= 0) {
            names.emplace_back(hook.tracepoint);
        }
    }
    return names;
}

Result<void> attach_programs(drainwatch_bpf& skeleton, SourceReport& report)
{
    int last_error = 0;
    for (const Hook& hook : kHooks) {
        bpf_program* program = skeleton.progs.*hook.program;
        if (bpf_program__fd(program) < 0) {
            continue;  // already in the report
        }
        bpf_link* link = bpf_program__attach(program);
        if (link == nullptr) {
            last_error = errno;
            report.missing.push_back(
                {std::string(hook.tracepoint),
                 system_error("attach", std::string(hook.tracepoint), last_error).message,
                 std::string(hook.cost)});
            continue;
        }
        skeleton.links.*hook.link = link;
        report.attached.emplace_back(hook.tracepoint);
    }
    if (report.attached.empty()) {
        return tl::unexpected(system_error("attach", "the BPF programs", last_error));
    }
    return {};
}

File enable_run_time_statistics()
{
    return File(bpf_enable_stats(BPF_STATS_RUN_TIME));
}

ProgramCounters read_program_counters(const drainwatch_bpf& skeleton)
{
    ProgramCounters sum;
    for (const Hook& hook : kHooks) {
        const int fd = bpf_program__fd(skeleton.progs.*hook.program);
        bpf_prog_info info{};
        __u32 length = sizeof(info);
        if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &length) == 0) {
            sum.runs += info.run_cnt;
            sum.run_ns += info.run_time_ns;
            sum.missed += info.recursion_misses;
        }
    }
    return sum;
}

}  // namespace drainwatch
