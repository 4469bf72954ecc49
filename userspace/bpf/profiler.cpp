#include "bpf/profiler.hpp"

#include "bpf/kernel_btf.hpp"
#include "bpf/readout.hpp"
#include "drainwatch.skel.h"
#include "drainwatch/reader_thread.h"
#include "host/clock.hpp"
#include "host/proc.hpp"
#include "profile.skel.h"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <array>
#include <cerrno>
#include <set>

namespace drainwatch {
namespace {

/// A distribution in use takes some hundred buckets at most.
constexpr std::uint32_t kBuckets = 16384;
constexpr std::uint32_t kBucketsOfGroups = 131072;
constexpr std::uint32_t kStacks = 4096;
constexpr std::uint32_t kStackWaits = 8192;

/// The maps of the watch that this one's programs look into.
int share_maps(profile_bpf& skeleton, const drainwatch_bpf& watch)
{
    const std::array<std::pair<bpf_map*, const bpf_map*>, 4> shared{
        {{skeleton.maps.sockets, watch.maps.sockets},
         {skeleton.maps.sockets_by_address, watch.maps.sockets_by_address},
         {skeleton.maps.slots, watch.maps.slots},
         {skeleton.maps.slot_index, watch.maps.slot_index}}};
    for (const auto& [ours, theirs] : shared) {
        if (!bpf_map__autocreate(theirs)) {
            bpf_map__set_autocreate(ours, false);
        } else if (const int error = bpf_map__reuse_fd(ours, bpf_map__fd(theirs)); error != 0) {
            return error;
        }
    }
    return 0;
}

void set_sizes(profile_bpf& skeleton, const dw_profile_config& config, std::uint32_t slots)
{
    const bool grouped = config.grouping != DW_GROUP_ALL;
    bpf_map__set_max_entries(skeleton.maps.measured, slots);
    bpf_map__set_max_entries(skeleton.maps.buckets, grouped ? kBucketsOfGroups : kBuckets);
    if (config.stacks) {
        bpf_map__set_max_entries(skeleton.maps.stacks, kStacks);
        bpf_map__set_max_entries(skeleton.maps.stack_waits, kStackWaits);
    }
    if (config.grouping == DW_GROUP_SOCKET) {
        bpf_map__set_max_entries(skeleton.maps.socket_names, 4 * slots);
    }
}

/// Those that are attached to functions of TLS libraries.
std::array<bpf_program*, 11> tls_programs(const profile_bpf& skeleton)
{
    const auto& programs = skeleton.progs;
    return {programs.tls_read_begin,
            programs.tls_handshake_begin,
            programs.tls_peek_begin,
            programs.tls_peek_end,
            programs.tls_free,
            programs.openssl_read_end,
            programs.openssl_handshake_end,
            programs.openssl_error_begin,
            programs.openssl_error_end,
            programs.gnutls_read_end,
            programs.gnutls_handshake_end};
}

/// The skeleton declares its copies const; this is where they are written.
template <typename T>
T& writable(const T& constant)
{
    return const_cast<T&>(constant);
}

}  // namespace

void Profiler::SkeletonDeleter::operator()(profile_bpf* skeleton) const
{
    profile_bpf__destroy(skeleton);
}

Profiler::~Profiler() = default;

Result<std::unique_ptr<Profiler>> Profiler::open(const ProfilerOptions& options)
{
    std::unique_ptr<Profiler> profiler(new Profiler(options));
    SourceOptions watched;
    watched.targets = options.targets;
    watched.max_sockets = options.max_sockets;
    watched.tls = false;
    auto source = BpfSource::open(
        watched, [&](const drainwatch_bpf& watch) { return profiler->attach(watch); });
    if (!source) {
        return tl::unexpected(source.error());
    }
    profiler->source_ = std::move(*source);
    profiler->ask_for_stamps();
    profiler->find_targets();
    profiler->began_ns_ = monotonic_ns();
    return profiler;
}

Profiler::ProfileSkeleton Profiler::load(const drainwatch_bpf& watch,
                                         const dw_profile_config& config, bool calls_by_fexit,
                                         bool tls) const
{
    ProfileSkeleton skeleton(profile_bpf__open());
    if (!skeleton) {
        return nullptr;
    }
    writable(*reinterpret_cast<const dw_profile_config*>(&skeleton->rodata->profile_config)) =
        config;
    writable(*reinterpret_cast<const dw_config*>(&skeleton->rodata->config)) =
        *reinterpret_cast<const dw_config*>(&watch.rodata->config);
    set_sizes(*skeleton, config, table_size(watch));
    bpf_program__set_autoload(skeleton->progs.sk_data_ready, !config.arrivals_by_probe);
    bpf_program__set_autoload(skeleton->progs.sock_recv_length,
                              !config.reads_by_chunk && !calls_by_fexit);
    bpf_program__set_autoload(skeleton->progs.inet_recvmsg, calls_by_fexit);
    bpf_program__set_autoload(skeleton->progs.inet6_recvmsg, calls_by_fexit);
    for (bpf_program* program : tls_programs(*skeleton)) {
        bpf_program__set_autoload(program, tls);
    }
    int error = share_maps(*skeleton, watch);
    if (error == 0) {
        error = profile_bpf__load(skeleton.get());
    }
    if (error == 0) {
        error = profile_bpf__attach(skeleton.get());
    }
    if (error != 0) {
        errno = -error;
        return nullptr;
    }
    return skeleton;
}

Profiler::ProfileSkeleton Profiler::load_with_or_without_tls(const drainwatch_bpf& watch,
                                                             const dw_profile_config& config,
                                                             bool calls_by_fexit)
{
    tls_can_be_traced_ = kernel_has_uprobes();
    ProfileSkeleton skeleton = load(watch, config, calls_by_fexit, tls_can_be_traced_);
    if (!skeleton && tls_can_be_traced_) {
        tls_can_be_traced_ = false;
        skeleton = load(watch, config, calls_by_fexit, false);
    }
    return skeleton;
}

Result<void> Profiler::attach(const drainwatch_bpf& watch)
{
    dw_profile_config config{};
    config.grouping = options_.grouping;
    config.stacks = options_.stacks;
    bool calls_by_fexit = false;
    if (const auto kernel = KernelBtf::load()) {
        config.arrivals_by_probe = !kernel->has_tracepoint("sk_data_ready");
        calls_by_fexit = !kernel->has_tracepoint("sock_recv_length");
    }
    skeleton_ = load_with_or_without_tls(watch, config, calls_by_fexit);
    if (!skeleton_ && calls_by_fexit) {
        config.reads_by_chunk = true;
        skeleton_ = load_with_or_without_tls(watch, config, false);
        missing_.push_back({"sock_recv_length", "this kernel has no such tracepoint",
                            "each piece that is copied counts as a read; empty reads and peeks are "
                            "not seen"});
    }
    if (!skeleton_) {
        return tl::unexpected(system_error("load", "the programs of profile", errno));
    }
    return {};
}

/// A socket that wants stamps makes the kernel stamp every packet, for all who want to know. If it
/// does not, the time at which the socket was handed the segment has to do.
void Profiler::ask_for_stamps()
{
    stamping_ = File(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    (void)setsockopt(stamping_.get(), SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
}

/// Stamps are by CLOCK_REALTIME, which may be set.
void Profiler::tell_time()
{
    const ClockPair clocks = clock_pair();
    skeleton_->bss->realtime_offset_ns = clocks.realtime_ns - clocks.monotonic_ns;
}

/// Who reads what has never been read: the only thread of the process that holds it.
void Profiler::add_lone_readers()
{
    std::set<std::uint32_t> pids;
    for (const Holder& holder : source_->holders()) {
        pids.insert(holder.pid);
    }
    for (const std::uint32_t pid : pids) {
        const auto process = proc::identity(pid);
        if (!process || process->threads != 1) {
            continue;
        }
        auto thread = std::make_unique<dw_thread>();
        const std::uint64_t now_ns = monotonic_ns();
        dw_thread_begin(thread.get(), now_ns);
        thread->tgid = pid;
        thread->alone = 1;
        process->comm.copy(thread->comm, DW_COMM_LEN - 1);
        if (process->state != 'R') {
            dw_thread_leave(thread.get(), now_ns, DW_THREAD_SLEEPING,
                            proc::system_call(pid).value_or(DW_NO_CALL));
        }
        bpf_map_update_elem(bpf_map__fd(skeleton_->maps.threads), &pid, thread.get(), BPF_NOEXIST);
    }
}

void Profiler::begin_slots()
{
    const std::uint32_t end = source_->slots_in_use();
    for (std::uint64_t slot = 0; slot < end; slot++) {
        bpf_test_run_opts options{};
        options.sz = sizeof(options);
        options.ctx_in = &slot;
        options.ctx_size_in = sizeof(slot);
        (void)bpf_prog_test_run_opts(bpf_program__fd(skeleton_->progs.begin_slot), &options);
    }
}

void Profiler::find_targets()
{
    tell_time();
    source_->pass_over_notices();
    (void)source_->find_targets();
    (void)source_->heal();  // idle sockets make room for others
    add_lone_readers();
    begin_slots();
    if (tls_can_be_traced_) {
        std::set<std::uint32_t> pids = source_->target_pids();
        if (options_.targets.all) {
            pids.merge(reading_processes(*skeleton_));
        }
        tls_.follow(*skeleton_, pids);
    }
}

std::uint64_t Profiler::reads() const
{
    return count_reads(*skeleton_);
}

Measurement Profiler::finish()
{
    const std::uint64_t now_ns = monotonic_ns();
    skeleton_->bss->ended = 1;
    profile_bpf__detach(skeleton_.get());
    tls_.detach();
    source_->stop();
    const Losses losses = source_->losses();
    Measurement measurement =
        read_measurement(*skeleton_, source_->slots_in_use(), options_.grouping, now_ns);
    measurement.duration_ns = now_ns - began_ns_;
    measurement.not_measured.sockets = losses.table_full + losses.storage_failed;
    measurement.tls = tls_.traced();
    if (!tls_can_be_traced_) {
        measurement.tls.missing.push_back({"uprobe", "this kernel does not trace user programs",
                                           "calls of TLS libraries are not measured"});
    }
    name_processes(measurement);
    return measurement;
}

void Profiler::name_processes(Measurement& measurement) const
{
    const auto name = [&](std::uint32_t pid, const std::string& otherwise) {
        const std::string comm = proc::comm(pid).value_or(otherwise);
        if (!comm.empty()) {
            measurement.processes.emplace(pid, comm);
        }
    };
    for (const auto& [tid, thread] : measurement.threads) {
        name(thread.tgid, thread.comm);
    }
    for (const auto& [cookie, socket] : measurement.sockets) {
        name(socket.tgid, "");
    }
    for (const Holder& holder : source_->holders()) {
        name(holder.pid, "");
    }
}

}  // namespace drainwatch
