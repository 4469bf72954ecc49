#include "bpf/programs.hpp"

#include "bpf/iterators.hpp"
#include "drainwatch.skel.h"
#include "host/file.hpp"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <fmt/format.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <fstream>
#include <string_view>
#include <utility>

namespace drainwatch {
namespace {

using Programs = decltype(drainwatch_bpf::progs);
using Maps = decltype(drainwatch_bpf::maps);
using Links = decltype(drainwatch_bpf::links);

/// A tracepoint that is hooked, and what is lost where the kernel has none.
struct Hook {
    std::string_view tracepoint;
    dw_hook number;
    bpf_program* Programs::*program;
    bpf_link* Links::*link;
    /// What `program` hands events on to (DW_FRONT), by which map; or nothing.
    bpf_program* Programs::*rest;
    bpf_map* Maps::*rest_map;
    /// How much is lost without it, 1 the least, for who has to choose; 0: it cannot go alone.
    unsigned need;
    std::string_view cost;
};

#define DW_HOOK(name, need, cost)                                                          \
    Hook                                                                                   \
    {                                                                                      \
#name, DW_HOOK_##name, &Programs::name, &Links::name, nullptr, nullptr, need, cost \
    }
#define DW_FRONT(name, need, cost)                                                    \
    Hook                                                                              \
    {                                                                                 \
#name, DW_HOOK_##name, &Programs::name, &Links::name, &Programs::name##_rest, \
            &Maps::rest_of_##name, need, cost                                         \
    }
constexpr std::array kHooks{
    DW_FRONT(tcp_probe, 1,
             "data held back by SO_RCVLOWAT is seen at the next full look; there are no TLS facts "
             "of what comes in"),
    DW_FRONT(sk_data_ready, 0, "an arrival is seen with the next segment or its acknowledgement"),
    DW_HOOK(tcp_rcv_space_adjust, 0, "a read is seen with the next arrival or full look"),
    DW_HOOK(sock_recv_length, 1, "memory freed by a read is seen with the next arrival"),
    DW_FRONT(
        net_dev_queue, 2,
        "a zero window is seen at the next look, not on its way out; there are no TLS facts of "
        "what leaves"),
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
};
#undef DW_FRONT
#undef DW_HOOK

/// Without sk_data_ready, these two tell of arrivals.
unsigned need_of(const drainwatch_bpf& skeleton, const Hook& hook)
{
    const bool stands_in = hook.number == DW_HOOK_tcp_probe || hook.number == DW_HOOK_net_dev_queue;
    return stands_in && skeleton.rodata->config.arrivals_by_probe ? 0 : hook.need;
}

/// Is it to be loaded?
void select(const drainwatch_bpf& skeleton, const Hook& hook, bool selected)
{
    bpf_program__set_autoload(skeleton.progs.*hook.program, selected);
    if (hook.rest != nullptr) {
        bpf_program__set_autoload(skeleton.progs.*hook.rest, selected);
        bpf_map__set_autocreate(skeleton.maps.*hook.rest_map, selected);
    }
}

/// Now that both are loaded, the program finds its rest. Returns 0, or the error number.
int hand_on(const drainwatch_bpf& skeleton, const Hook& hook)
{
    if (hook.rest == nullptr) {
        return 0;
    }
    const __u32 first = 0;
    const int rest = bpf_program__fd(skeleton.progs.*hook.rest);
    return -bpf_map_update_elem(bpf_map__fd(skeleton.maps.*hook.rest_map), &first, &rest, BPF_ANY);
}

Result<void> attach(drainwatch_bpf& skeleton, const Hook& hook)
{
    bpf_link* link = bpf_program__attach(skeleton.progs.*hook.program);
    if (link == nullptr) {
        return tl::unexpected(system_error("attach", std::string(hook.tracepoint), errno));
    }
    skeleton.links.*hook.link = link;
    return {};
}

void detach(drainwatch_bpf& skeleton, const Hook& hook)
{
    bpf_link__destroy(std::exchange(skeleton.links.*hook.link, nullptr));
}

constexpr std::string_view kLeftOut = "left out by --without";

/// So many sockets, at least, or it is not worth the while.
constexpr std::uint32_t kFewestSlots = 1024;

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

Skeleton open_skeleton(dw_config config, std::uint32_t slots)
{
    Skeleton skeleton(drainwatch_bpf__open());
    if (!skeleton) {
        return nullptr;
    }
    // The skeleton declares its copy const; this is the one place where it is written.
    const_cast<dw_config&>(
        *reinterpret_cast<const volatile dw_config*>(&skeleton->rodata->config)) = config;
    for (bpf_map* map :
         {skeleton->maps.slots, skeleton->maps.attention, skeleton->maps.free_slots}) {
        bpf_map__set_max_entries(map, slots);
    }
    bpf_map__set_max_entries(skeleton->maps.runs,
                             static_cast<__u32>(std::max(1, libbpf_num_possible_cpus())));
    bpf_map__set_max_entries(skeleton->maps.sockets_by_address, slots + DW_MAX_LISTENERS);
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

/// How the kernel side remembers which sockets are watched (bpf/sockets.h), and whether a full look
/// comes to them by an iterator over that. Best first.
struct Memory {
    std::string_view name;
    bool by_address;
    bool has_iterator;
    std::string_view cost;  ///< of having to do without this one
};
constexpr std::string_view kStorage = "sk_storage";
constexpr std::string_view kStorageIterator = "bpf_sk_storage_map";
constexpr std::array kMemories{
    Memory{kStorageIterator, false, true,
           "a full look comes to sockets by the descriptors of targets: where events were missed, "
           "what waits to be accepted is not looked at again"},
    Memory{kStorage, false, false,
           "watched sockets are found by their address: each event of any socket costs a look into "
           "a table, and cookies may be of our own making"},
    Memory{"by address", true, false, ""},
};

bool is_left_out(const Memory& memory, const std::vector<std::string>& without)
{
    return std::any_of(without.begin(), without.end(), [&](const std::string& part) {
        return part == memory.name || (part == kStorage && !memory.by_address);
    });
}

/// A load that was tried.
struct Attempt {
    Skeleton skeleton;
    int error = 0;  ///< 0, or the error number
};

/// The looks through sockets take longer to be verified than any hook.
enum class Looks { loaded, left_out };

Attempt load_selection(dw_config config, std::uint32_t slots, const Memory& memory,
                       const Selection& selected, Looks looks = Looks::loaded)
{
    config.arrivals_by_probe = !is_selected(selected, "sk_data_ready");
    config.sockets_by_address = memory.by_address;
    config.heals_by_descriptor = !memory.by_address && !memory.has_iterator;
    Attempt attempt{open_skeleton(config, slots)};
    if (!attempt.skeleton) {
        attempt.error = errno;
        return attempt;
    }
    const drainwatch_bpf& skeleton = *attempt.skeleton;
    bpf_map__set_autocreate(skeleton.maps.sockets, !memory.by_address);
    bpf_map__set_autocreate(skeleton.maps.sockets_by_address, memory.by_address);
    bpf_program__set_autoload(skeleton.progs.heal, memory.has_iterator);
    for (bpf_program* look : {skeleton.progs.find_descriptors, skeleton.progs.find_connections}) {
        bpf_program__set_autoload(look, looks == Looks::loaded);
    }
    bpf_program__set_autoload(skeleton.progs.empty_hook, is_selected(selected, "task_rename"));
    for (std::size_t i = 0; i < kHooks.size(); i++) {
        select(skeleton, kHooks[i], selected[i]);
    }
    attempt.error = -drainwatch_bpf__load(attempt.skeleton.get());
    for (std::size_t i = 0; attempt.error == 0 && i < kHooks.size(); i++) {
        attempt.error = selected[i] ? hand_on(skeleton, kHooks[i]) : 0;
    }
    if (attempt.error == 0 && memory.has_iterator) {
        attempt.error = can_heal_slots(*attempt.skeleton) ? 0 : EOPNOTSUPP;
    }
    return attempt;
}

/// Before 5.11 the kernel charges maps to RLIMIT_MEMLOCK, and says EPERM if there is no room. This
/// helper came with the change.
bool charges_memlock()
{
    const std::array<bpf_insn, 2> asks_for_the_time{
        bpf_insn{BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_ktime_get_coarse_ns},
        bpf_insn{BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
    const File program(bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, nullptr, "GPL",
                                     asks_for_the_time.data(), asks_for_the_time.size(), nullptr));
    return !program;
}

bool is_short_of_memory(int error)
{
    if (error != ENOMEM && !(error == EPERM && charges_memlock())) {
        return false;
    }
    const File tiny(
        bpf_map_create(BPF_MAP_TYPE_ARRAY, "tiny", sizeof(__u32), sizeof(__u32), 1, nullptr));
    return static_cast<bool>(tiny);
}

bool tells_of_arrivals(const Selection& selected)
{
    return is_selected(selected, "sk_data_ready") || is_selected(selected, "tcp_probe");
}

/// What may be loaded at all, before anything is tried.
struct Wanted {
    Selection hooks{};
    std::vector<MissingPart> missing;

    void leave_out(std::size_t i, std::string reason)
    {
        hooks[i] = false;
        missing.push_back(
            {std::string(kHooks[i].tracepoint), std::move(reason), std::string(kHooks[i].cost)});
    }
};

/// Everything but the hooks that are refused one by one, which go from `wanted`.
Attempt load_most(const dw_config& config, std::uint32_t slots, const Memory& memory,
                  Wanted& wanted)
{
    Attempt none = load_selection(config, slots, memory, {});
    if (none.error != 0) {
        return none;  // maps or iterators are refused
    }
    const Selection before = wanted.hooks;
    for (std::size_t i = 0; i < kHooks.size(); i++) {
        if (!before[i]) {
            continue;
        }
        Selection only{};
        only[i] = true;
        const Attempt alone = load_selection(config, slots, memory, only);
        if (alone.error != 0) {
            wanted.leave_out(
                i, system_error("load", std::string(kHooks[i].tracepoint), alone.error).message);
        }
    }
    if (!tells_of_arrivals(wanted.hooks)) {
        return {nullptr, EOPNOTSUPP};
    }
    return load_selection(config, slots, memory, wanted.hooks);
}

/// With --no-tls, these are of no use.
bool is_about_tls(std::string_view tracepoint)
{
    return tracepoint.starts_with("tls_") || tracepoint.starts_with("handshake_");
}

/// Bytes of streams are handed on by the hooks that see segments (bpf/tls.h).
constexpr std::string_view kStreams = "tls";

/// The hooks that hand on bytes of streams load without that, and not with it: the error number of
/// why; else 0.
int refuses_streams(dw_config config, const Wanted& wanted)
{
    constexpr std::uint32_t kFewSlots = DW_FILL_BATCH;
    Selection hooks{};
    for (std::size_t i = 0; i < kHooks.size(); i++) {
        const bool sees_segments =
            kHooks[i].tracepoint == "tcp_probe" || kHooks[i].tracepoint == "net_dev_queue";
        hooks[i] = sees_segments && wanted.hooks[i];
    }
    for (const Memory& memory : kMemories) {
        const int error = load_selection(config, kFewSlots, memory, hooks, Looks::left_out).error;
        if (error == 0) {
            return 0;
        }
        config.tls = false;
        const bool loads_without =
            load_selection(config, kFewSlots, memory, hooks, Looks::left_out).error == 0;
        config.tls = true;
        if (loads_without) {
            return error;
        }
    }
    return 0;  // it is not this that they are refused for
}

/// With everything by the best memory that takes it, or else with most by the best that does.
Attempt load_best(const dw_config& config, std::uint32_t slots, const Wanted& wanted,
                  const std::vector<std::string>& without, SourceReport& report)
{
    Attempt last;
    for (const bool whole : {true, false}) {
        std::vector<MissingPart> missing;
        for (const Memory& memory : kMemories) {
            // What is worse than one of them is worse than those before it.
            const auto pass_over = [&](std::string reason) {
                missing = {{std::string(memory.name), std::move(reason), std::string(memory.cost)}};
            };
            if (is_left_out(memory, without)) {
                pass_over(std::string(kLeftOut));
                continue;
            }
            Wanted left = wanted;
            last = whole ? load_selection(config, slots, memory, left.hooks)
                         : load_most(config, slots, memory, left);
            if (last.error == 0) {
                missing.insert(missing.end(), left.missing.begin(), left.missing.end());
                report.missing = std::move(missing);
                return last;
            }
            if (is_short_of_memory(last.error)) {
                return last;
            }
            pass_over(system_error("load", std::string(memory.name), last.error).message);
        }
    }
    return last;
}

}  // namespace

MissingPart without_streams(std::string reason)
{
    return {std::string(kStreams), std::move(reason), "there are no TLS facts"};
}

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

bool kernel_has_tracepoint(std::string_view tracepoint)
{
    const Btf kernel(btf__load_vmlinux_btf());
    return kernel && has_tracepoint(*kernel, tracepoint);
}

std::vector<std::string> hook_names()
{
    std::vector<std::string> names(kHooks.size());
    std::transform(kHooks.begin(), kHooks.end(), names.begin(),
                   [](const Hook& hook) { return std::string(hook.tracepoint); });
    for (const Memory& memory : kMemories) {
        if (!memory.cost.empty()) {
            names.emplace_back(memory.name);
        }
    }
    names.emplace_back(kStreams);
    return names;
}

Result<Skeleton> load_programs(dw_config config, std::uint32_t slots,
                               const std::vector<std::string>& without, SourceReport& report)
{
    const Btf kernel(btf__load_vmlinux_btf());
    if (!kernel) {
        return fail(
            "this kernel has no BTF (/sys/kernel/btf/vmlinux); BPF needs kernel 5.9, or RHEL 8.4, "
            "or newer");
    }
    Wanted wanted;
    if (config.tls && std::find(without.begin(), without.end(), kStreams) != without.end()) {
        config.tls = false;
        wanted.missing.push_back(without_streams(std::string(kLeftOut)));
    }
    for (std::size_t i = 0; i < kHooks.size(); i++) {
        wanted.hooks[i] = config.tls || !is_about_tls(kHooks[i].tracepoint);
        if (!wanted.hooks[i]) {
            continue;
        }
        if (std::find(without.begin(), without.end(), kHooks[i].tracepoint) != without.end()) {
            wanted.leave_out(i, std::string(kLeftOut));
        } else if (!has_tracepoint(*kernel, kHooks[i].tracepoint)) {
            wanted.leave_out(i, "this kernel has no such tracepoint");
        }
    }
    if (!tells_of_arrivals(wanted.hooks)) {
        return fail("neither sk_data_ready nor tcp_probe is there to tell of arrivals");
    }
    std::uint32_t fitting = slots;
    Attempt attempt = load_best(config, fitting, wanted, without, report);
    const bool refused = attempt.error != 0 || report.missing.size() > wanted.missing.size();
    if (config.tls && refused && !is_short_of_memory(attempt.error)) {
        if (const int error = refuses_streams(config, wanted); error != 0) {
            config.tls = false;
            wanted.missing.push_back(
                without_streams(system_error("load", std::string(kStreams), error).message));
            attempt = load_best(config, fitting, wanted, without, report);
        }
    }
    while (is_short_of_memory(attempt.error) && fitting / 2 >= kFewestSlots) {
        fitting = fitting / 2 / DW_FILL_BATCH * DW_FILL_BATCH;
        attempt = load_best(config, fitting, wanted, without, report);
    }
    if (is_short_of_memory(attempt.error)) {
        return fail(fmt::format(
            "a table of {} sockets is more than RLIMIT_MEMLOCK allows; raise it (ulimit -l)",
            fitting));
    }
    if (attempt.error != 0) {
        return tl::unexpected(system_error("load", "the BPF programs", attempt.error));
    }
    if (fitting != slots) {
        report.missing.push_back(
            {"max_sockets", fmt::format("a table of {} is more than RLIMIT_MEMLOCK allows", slots),
             fmt::format("{} sockets are watched at once, at most", fitting)});
    }
    return std::move(attempt.skeleton);
}

std::uint32_t table_size(const drainwatch_bpf& skeleton)
{
    return bpf_map__max_entries(skeleton.maps.slots);
}

bool remembers_by_address(const drainwatch_bpf& skeleton)
{
    return bpf_map__autocreate(skeleton.maps.sockets_by_address);
}

bool heals_by_descriptor(const drainwatch_bpf& skeleton)
{
    return !remembers_by_address(skeleton) && !bpf_program__autoload(skeleton.progs.heal);
}

bool looks_for_tls(const drainwatch_bpf& skeleton)
{
    return skeleton.rodata->config.tls;
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
    Error last_error;
    for (const Hook& hook : kHooks) {
        if (bpf_program__fd(skeleton.progs.*hook.program) < 0) {
            continue;  // already in the report
        }
        if (const auto attached = attach(skeleton, hook); !attached) {
            last_error = attached.error();
            report.missing.push_back(
                {std::string(hook.tracepoint), last_error.message, std::string(hook.cost)});
            continue;
        }
        report.attached.emplace_back(hook.tracepoint);
    }
    if (skeleton.links.sk_data_ready == nullptr && skeleton.links.tcp_probe == nullptr) {
        return tl::unexpected(last_error);
    }
    return {};
}

void detach_programs(drainwatch_bpf& skeleton)
{
    for (const Hook& hook : kHooks) {
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
    for (const Hook& hook : kHooks) {
        if (bpf_program__fd(skeleton.progs.*hook.program) < 0) {
            continue;
        }
        runs.at(hook.number).way_ns = way_ns;
        uses.push_back({std::string(hook.tracepoint), std::string(hook.cost),
                        need_of(skeleton, hook), skeleton.links.*hook.link != nullptr,
                        runs.at(hook.number)});
    }
    return uses;
}

Result<void> set_attached(drainwatch_bpf& skeleton, const std::string& tracepoint, bool attached)
{
    const auto* hook = std::find_if(kHooks.begin(), kHooks.end(),
                                    [&](const Hook& h) { return h.tracepoint == tracepoint; });
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
    for (const Hook& hook : kHooks) {
        const int fd = bpf_program__fd(skeleton.progs.*hook.program);
        bpf_prog_info info{};
        __u32 length = sizeof(info);
        if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &length) == 0) {
            missed += info.recursion_misses;
        }
    }
    return missed;
}

std::uint64_t map_memory(const drainwatch_bpf& skeleton)
{
    std::uint64_t sum = 0;
    const bpf_map* map = nullptr;
    while ((map = bpf_object__next_map(skeleton.obj, map)) != nullptr) {
        std::ifstream fdinfo(fmt::format("/proc/self/fdinfo/{}", bpf_map__fd(map)));
        for (std::string key; fdinfo >> key;) {
            std::uint64_t bytes = 0;
            if (key == "memlock:" && fdinfo >> bytes) {
                sum += bytes;
            }
        }
    }
    return sum;
}

}  // namespace drainwatch
