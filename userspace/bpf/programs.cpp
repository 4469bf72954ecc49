#include "bpf/programs.hpp"

#include "bpf/hooks.hpp"
#include "bpf/iterators.hpp"
#include "bpf/kernel_btf.hpp"
#include "drainwatch.skel.h"
#include "host/file.hpp"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <fstream>
#include <optional>
#include <string_view>
#include <utility>

namespace drainwatch {
namespace {

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

bool contains(const std::vector<std::string>& names, std::string_view name)
{
    return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_selected(const HookSelection& selected, std::string_view tracepoint)
{
    const Hooks all = hooks();
    for (std::size_t i = 0; i < all.size(); i++) {
        if (all[i].tracepoint == tracepoint) {
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

/// A load that was tried.
struct Attempt {
    Skeleton skeleton;
    int error = 0;  ///< 0, or the error number
    /// Something was refused that might have been loaded, as far as was known before.
    bool reduced = false;
};

/// The looks through sockets take longer to be verified than any hook.
enum class Looks { loaded, left_out };

Attempt load_selection(dw_config config, std::uint32_t slots, const Memory& memory,
                       const HookSelection& selected, Looks looks = Looks::loaded)
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
    select_hooks(skeleton, selected);
    attempt.error = -drainwatch_bpf__load(attempt.skeleton.get());
    if (attempt.error == 0) {
        attempt.error = connect_hooks(skeleton, selected);
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

bool tells_of_arrivals(const HookSelection& selected)
{
    return is_selected(selected, "sk_data_ready") || is_selected(selected, "tcp_probe");
}

/// What may be loaded at all, as far as is known before anything is tried.
struct Wanted {
    HookSelection hooks{};
    std::vector<std::string> without;  ///< parts named by --without
    int iterator_error = 0;            ///< why the kernel takes no iterator over storage, if so
    std::vector<MissingPart> missing;

    void leave_out(std::size_t i, std::string reason)
    {
        const Hook hook = drainwatch::hooks()[i];
        hooks[i] = false;
        missing.push_back(
            {std::string(hook.tracepoint), std::move(reason), std::string(hook.cost)});
    }

    /// Why this one need not be tried.
    [[nodiscard]] std::optional<std::string> reason_against(const Memory& memory) const
    {
        if (contains(without, memory.name) || (contains(without, kStorage) && !memory.by_address)) {
            return std::string(kLeftOut);
        }
        if (memory.has_iterator && iterator_error != 0) {
            return system_error("load", std::string(memory.name), iterator_error).message;
        }
        return std::nullopt;
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
    const HookSelection before = wanted.hooks;
    const Hooks all = hooks();
    for (std::size_t i = 0; i < all.size(); i++) {
        if (!before[i]) {
            continue;
        }
        HookSelection only{};
        only[i] = true;
        const Attempt alone = load_selection(config, slots, memory, only);
        if (alone.error != 0) {
            wanted.leave_out(
                i, system_error("load", std::string(all[i].tracepoint), alone.error).message);
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
    const Hooks all = hooks();
    HookSelection selected{};
    for (std::size_t i = 0; i < all.size(); i++) {
        const bool sees_segments =
            all[i].tracepoint == "tcp_probe" || all[i].tracepoint == "net_dev_queue";
        selected[i] = sees_segments && wanted.hooks[i];
    }
    for (const Memory& memory : kMemories) {
        if (wanted.reason_against(memory)) {
            continue;
        }
        const int error =
            load_selection(config, kFewSlots, memory, selected, Looks::left_out).error;
        if (error == 0) {
            return 0;
        }
        config.tls = false;
        const bool loads_without =
            load_selection(config, kFewSlots, memory, selected, Looks::left_out).error == 0;
        config.tls = true;
        if (loads_without) {
            return error;
        }
    }
    return 0;  // it is not this that they are refused for
}

/// With everything by the best memory that takes it, or else with most by the best that does.
Attempt load_best(const dw_config& config, std::uint32_t slots, const Wanted& wanted,
                  SourceReport& report)
{
    Attempt last;
    bool reduced = false;
    for (const bool whole : {true, false}) {
        std::vector<MissingPart> missing;
        for (const Memory& memory : kMemories) {
            // What is worse than one of them is worse than those before it.
            const auto pass_over = [&](std::string reason) {
                missing = {{std::string(memory.name), std::move(reason), std::string(memory.cost)}};
            };
            if (auto reason = wanted.reason_against(memory)) {
                pass_over(std::move(*reason));
                continue;
            }
            Wanted left = wanted;
            last = whole ? load_selection(config, slots, memory, left.hooks)
                         : load_most(config, slots, memory, left);
            last.reduced = reduced;
            if (last.error == 0) {
                missing.insert(missing.end(), left.missing.begin(), left.missing.end());
                report.missing = std::move(missing);
                return last;
            }
            if (is_short_of_memory(last.error)) {
                return last;
            }
            reduced = true;
            pass_over(system_error("load", std::string(memory.name), last.error).message);
        }
    }
    return last;
}

/// Loads how the kernel describes itself, and forgets it again: the programs need that memory.
Result<Wanted> find_wanted(bool tls, const std::vector<std::string>& without)
{
    const auto kernel = KernelBtf::load();
    if (!kernel) {
        return fail(
            "this kernel has no BTF (/sys/kernel/btf/vmlinux); BPF needs kernel 5.9, or RHEL 8.4, "
            "or newer");
    }
    Wanted wanted;
    wanted.without = without;
    wanted.iterator_error = kernel->refuses_iterator(kStorageIterator);
    const Hooks all = hooks();
    for (std::size_t i = 0; i < all.size(); i++) {
        wanted.hooks[i] = tls || !is_about_tls(all[i].tracepoint);
        if (!wanted.hooks[i]) {
            continue;
        }
        if (contains(without, all[i].tracepoint)) {
            wanted.leave_out(i, std::string(kLeftOut));
        } else if (!kernel->has_tracepoint(all[i].tracepoint)) {
            wanted.leave_out(i, "this kernel has no such tracepoint");
        }
    }
    if (!tells_of_arrivals(wanted.hooks)) {
        return fail(
            "neither sk_data_ready nor tcp_probe is there to tell of arrivals: use --tier poll");
    }
    return wanted;
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

std::vector<std::string> hook_names()
{
    const Hooks all = hooks();
    std::vector<std::string> names(all.size());
    std::transform(all.begin(), all.end(), names.begin(),
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
    const bool without_tls = config.tls && contains(without, kStreams);
    config.tls = config.tls && !without_tls;
    auto wanted = find_wanted(config.tls, without);
    if (!wanted) {
        return tl::unexpected(wanted.error());
    }
    if (without_tls) {
        wanted->missing.push_back(without_streams(std::string(kLeftOut)));
    }
    std::uint32_t fitting = slots;
    Attempt attempt = load_best(config, fitting, *wanted, report);
    const bool refused = attempt.error != 0 || attempt.reduced;
    if (config.tls && refused && !is_short_of_memory(attempt.error)) {
        if (const int error = refuses_streams(config, *wanted); error != 0) {
            config.tls = false;
            wanted->missing.push_back(
                without_streams(system_error("load", std::string(kStreams), error).message));
            attempt = load_best(config, fitting, *wanted, report);
        }
    }
    while (is_short_of_memory(attempt.error) && fitting / 2 >= kFewestSlots) {
        fitting = fitting / 2 / DW_FILL_BATCH * DW_FILL_BATCH;
        attempt = load_best(config, fitting, *wanted, report);
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
