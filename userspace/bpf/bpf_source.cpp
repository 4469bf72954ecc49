#include "bpf/bpf_source.hpp"

#include "bpf/hooks.hpp"
#include "bpf/iterators.hpp"
#include "bpf/way.hpp"
#include "drainwatch.skel.h"
#include "host/clock.hpp"
#include "state/slot.hpp"

#include <bpf/bpf.h>
#include <sys/epoll.h>
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <iterator>
#include <string_view>
#include <thread>
#include <utility>

namespace drainwatch {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::nanoseconds kDangerAge = 5ms;
constexpr std::chrono::nanoseconds kDangerInterval = 5ms;

constexpr std::string_view kEndOfSockets = "tcp_destroy_sock";

/// Programs run for microseconds; this is more than enough for the last of them to end.
constexpr std::chrono::milliseconds kSettlingStep = 1ms;
constexpr int kSettlingSteps = 100;

dw_config make_config(const SourceOptions& options)
{
    const Targets& targets = options.targets;
    dw_config config{};
    config.tls = options.tls;
    config.watch_all = targets.all;
    config.names = static_cast<__u8>(targets.names.size());
    config.ports = static_cast<__u8>(targets.ports.size());
    config.warn_after_ns = static_cast<__u64>(options.warn_after.count());
    config.danger_age_ns = static_cast<__u64>(kDangerAge.count());
    config.danger_interval_ns = static_cast<__u64>(kDangerInterval.count());
    config.jiffy_ns = jiffy_ns();
    for (std::size_t i = 0; i < targets.names.size(); i++) {
        targets.names[i].copy(config.name[i], DW_COMM_LEN - 1);
    }
    std::copy(targets.ports.begin(), targets.ports.end(), std::begin(config.port));
    return config;
}

void clear_map(const bpf_map* map)
{
    const int fd = bpf_map__fd(map);
    std::vector<std::byte> key(bpf_map__key_size(map));
    while (bpf_map_get_next_key(fd, nullptr, key.data()) == 0 &&
           bpf_map_delete_elem(fd, key.data()) == 0) {
    }
}

/// What is loaded, and where it puts bytes of streams, if any are wanted.
struct Loaded {
    Skeleton skeleton;
    std::optional<StreamBuffer> streams;
};

/// Where there is no buffer for bytes of streams, without them.
Result<Loaded> load(const SourceOptions& options, SourceReport& report)
{
    const std::uint32_t slots =
        (options.max_sockets + DW_FILL_BATCH - 1) / DW_FILL_BATCH * DW_FILL_BATCH;
    dw_config config = make_config(options);
    auto skeleton = load_programs(config, slots, options.without, report);
    if (!skeleton) {
        return tl::unexpected(skeleton.error());
    }
    if (!looks_for_tls(**skeleton)) {
        return Loaded{std::move(*skeleton), std::nullopt};
    }
    auto streams = StreamBuffer::open(bpf_map__fd((*skeleton)->maps.stream_bytes));
    if (streams) {
        return Loaded{std::move(*skeleton), std::move(*streams)};
    }
    config.tls = false;
    report = {};
    skeleton = load_programs(config, slots, options.without, report);
    if (!skeleton) {
        return tl::unexpected(skeleton.error());
    }
    report.missing.push_back(without_streams(streams.error().message));
    return Loaded{std::move(*skeleton), std::nullopt};
}

}  // namespace

void BpfSource::RingDeleter::operator()(ring_buffer* ring) const
{
    ring_buffer__free(ring);
}

BpfSource::BpfSource(Targets targets, Skeleton skeleton, SlotTable table)
    : skeleton_(std::move(skeleton)),
      table_(std::move(table)),
      pool_(*skeleton_, table_),
      looks_(table_, pool_),
      targets_(std::move(targets), *skeleton_)
{}

BpfSource::~BpfSource() = default;

Result<std::unique_ptr<BpfSource>> BpfSource::open(const SourceOptions& options,
                                                   const BeforeAttach& before_attach)
{
    SourceReport report;
    auto loaded = load(options, report);
    if (!loaded) {
        return tl::unexpected(loaded.error());
    }
    const drainwatch_bpf& skeleton = *loaded->skeleton;
    auto table = SlotTable::map(bpf_map__fd(skeleton.maps.slots),
                                bpf_map__fd(skeleton.maps.attention), table_size(skeleton));
    if (!table) {
        return tl::unexpected(table.error());
    }
    std::unique_ptr<BpfSource> source(
        new BpfSource(options.targets, std::move(loaded->skeleton), std::move(*table)));
    if (loaded->streams) {
        source->streams_.emplace(std::move(*loaded->streams), *source->skeleton_, source->table_,
                                 source->pool_);
    }
    source->ring_.reset(ring_buffer__new(bpf_map__fd(source->skeleton_->maps.records), on_record,
                                         source.get(), nullptr));
    if (!source->ring_) {
        return tl::unexpected(system_error("open", "the ring buffer", errno));
    }
    if (const auto opened = source->open_wake(); !opened) {
        return tl::unexpected(opened.error());
    }
    if (const auto filled = source->pool_.fill(); !filled) {
        return tl::unexpected(filled.error());
    }
    if (before_attach) {
        if (auto prepared = before_attach(*source->skeleton_); !prepared) {
            return tl::unexpected(prepared.error());
        }
    }
    source->way_ns_ = measure_way_ns(*source->skeleton_);
    const auto attached = attach_programs(*source->skeleton_, report);
    if (!attached) {
        return tl::unexpected(attached.error());
    }
    report.memory_bytes = map_memory(*source->skeleton_) +
                          (source->streams_ ? source->streams_->buffer().memory_bytes() : 0);
    source->report_ = std::move(report);
    source->tell_streams_of_hooks();
    return source;
}

/// The ring wakes us, and so does a buffer of streams that fills.
Result<void> BpfSource::open_wake()
{
    wake_ = File(epoll_create1(EPOLL_CLOEXEC));
    std::vector<int> sources{ring_buffer__epoll_fd(ring_.get())};
    if (streams_) {
        sources.push_back(streams_->buffer().wake_fd());
    }
    for (const int fd : sources) {
        epoll_event event{};
        event.events = EPOLLIN;
        if (epoll_ctl(wake_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
            return tl::unexpected(system_error("wait for", "the ring buffer", errno));
        }
    }
    return {};
}

int BpfSource::wake_fd() const
{
    return wake_.get();
}

int BpfSource::on_record(void* context, void* data, std::size_t size)
{
    // libbpf is C: no exception may pass through it.
    auto* source = static_cast<BpfSource*>(context);
    try {
        const auto record = decode_record({static_cast<const std::byte*>(data), size});
        if (record) {
            source->records_.push_back(*record);
            source->decoded_++;
            return 0;
        }
    } catch (const std::exception&) {
    }
    source->undecoded_++;
    return 0;
}

void BpfSource::pass_over_notices()
{
    (void)take_notices();
    looks_.forget();
}

std::vector<Notice> BpfSource::take_notices()
{
    ring_buffer__consume(ring_.get());
    const auto records = std::exchange(records_, {});
    std::vector<Notice> notices;
    notices.reserve(records.size());
    for (const Record& record : records) {
        if (const auto* of_socket = std::get_if<SocketRecord>(&record)) {
            looks_.note(of_socket->notice.cookie, of_socket->slot);
            notices.emplace_back(of_socket->notice);
        } else if (auto told = targets_.note(std::get<ProcessNotice>(record))) {
            notices.emplace_back(std::move(*told));
        }
    }
    return notices;
}

Look BpfSource::look(const std::vector<Cookie>& followed,
                     const std::unordered_set<Cookie>& all_told)
{
    // By address, no full look comes to a connection at its end: only that hook tells of reads.
    return looks_.look(followed, all_told, is_attached("tcp_rcv_space_adjust"));
}

bool BpfSource::is_attached(std::string_view hook) const
{
    return std::find(report_.attached.begin(), report_.attached.end(), hook) !=
           report_.attached.end();
}

bool BpfSource::relies_on_finding() const
{
    return !is_attached("sched_process_fork") || !is_attached("sched_process_exec") ||
           !is_attached("task_rename");
}

bool BpfSource::relies_on_healing() const
{
    // Without sk_data_ready, the acknowledgement of a segment tells of it.
    const bool arrivals = is_attached("sk_data_ready") || is_attached("net_dev_queue");
    return !arrivals || !is_attached("tcp_rcv_space_adjust");
}

HeldSockets BpfSource::sockets_of(std::uint32_t pid, std::size_t most) const
{
    HeldSockets held;
    for (const dw_descriptor& d : targets_.descriptors()) {
        if (d.tgid != pid || d.listener) {
            continue;
        }
        if (held.sockets.size() == most) {
            held.all = false;
            break;
        }
        HeldSockets::Socket socket{Cookie{d.cookie}, d.fd, d.inode, std::nullopt};
        const auto value = d.slot != DW_NO_SLOT ? table_.read(d.slot) : std::nullopt;
        if (value && value->cookie == d.cookie) {
            socket.sample = decode_slot(*value, monotonic_ns());
        }
        held.sockets.push_back(std::move(socket));
    }
    return held;
}

std::vector<ProcessNotice> BpfSource::find_targets()
{
    const std::uint64_t ring_full = count(DW_COUNT_RING_FULL);
    const bool missed = ring_full != std::exchange(ring_full_at_scan_, ring_full);
    return targets_.find(relies_on_finding() ? Told::nothing : missed ? Told::not_all : Told::all);
}

Result<void> BpfSource::heal()
{
    pool_.make_room();
    const bool served_all = pool_.serve_all();
    auto healed = look_through_sockets();
    if (!served_all && !heals_by_descriptor(*skeleton_)) {
        targets_.refresh_holders();  // they have a slot now
    }
    return healed;
}

Result<void> BpfSource::look_through_sockets()
{
    if (remembers_by_address(*skeleton_)) {
        targets_.look_through_again(table_.namespaces(pool_.in_use()));
        return {};
    }
    if (heals_by_descriptor(*skeleton_)) {
        targets_.refresh_holders();
        return {};
    }
    auto healed = heal_slots(*skeleton_);
    looks_failed_ += healed ? 0 : 1;
    return healed;
}

/// Every socket gives its slot back, and every listener is forgotten, until resume(): a walk may be
/// under way still.
Result<void> BpfSource::release_all()
{
    skeleton_->bss->releases_all = 1;
    auto released = look_through_sockets();
    if (heals_by_descriptor(*skeleton_)) {
        (void)targets_.all_holders();  // others may hold some of them
    }
    return released;
}

std::uint64_t BpfSource::count(dw_counter counter) const
{
    std::vector<std::uint64_t> each(static_cast<std::size_t>(libbpf_num_possible_cpus()));
    const auto key = static_cast<__u32>(counter);
    std::uint64_t sum = 0;
    if (bpf_map_lookup_elem(bpf_map__fd(skeleton_->maps.counters), &key, each.data()) == 0) {
        for (const std::uint64_t value : each) {
            sum += value;
        }
    }
    return sum;
}

void BpfSource::stop()
{
    detach_programs(*skeleton_);
    // A run that had begun by then may write its record, or count it, a little later.
    for (int i = 0; i < kSettlingSteps; i++) {
        ring_buffer__consume(ring_.get());
        if (streams_) {
            streams_->buffer().collect();
        }
        const NoticeAccounts now = accounts();
        if (now.produced == now.consumed + now.lost) {
            return;
        }
        std::this_thread::sleep_for(kSettlingStep);
    }
}

Result<void> BpfSource::pause()
{
    if (!report_.attached.empty()) {
        paused_ = report_.attached;
    }
    return let_go();
}

Result<void> BpfSource::let_go()
{
    for (const std::string& hook : paused_) {
        // The ends of sockets are followed until every socket has given its slot back.
        if (hook != kEndOfSockets) {
            (void)set_attached(hook, false);
        }
    }
    auto released = release_all();
    detach_programs(*skeleton_);
    report_.attached.clear();
    std::this_thread::sleep_for(kSettlingStep);  // for runs that had begun before
    pool_.clear();
    // Numbers of processes, addresses of sockets and ports may be others' by the time of resume().
    targets_.forget();
    clear_map(skeleton_->maps.targets);
    clear_map(skeleton_->maps.listeners);
    clear_map(skeleton_->maps.unstored);
    if (remembers_by_address(*skeleton_)) {
        clear_map(skeleton_->maps.sockets_by_address);
    }
    looks_.forget();
    return released;
}

Result<void> BpfSource::resume(const FollowedProcesses& followed)
{
    // What was told before the pause is of sockets and processes that may be others by now.
    ring_buffer__consume(ring_.get());
    records_.clear();
    if (streams_) {
        (void)streams_->take();
    }
    skeleton_->bss->releases_all = 0;
    targets_.follow(followed);
    for (const std::string& hook : paused_) {
        if (auto attached = set_attached(hook, true); !attached) {
            (void)let_go();  // what they have begun to follow
            return attached;
        }
    }
    return {};
}

NoticeAccounts BpfSource::accounts() const
{
    const std::uint64_t lost = count(DW_COUNT_RING_FULL) + count(DW_COUNT_BYTES_LOST);
    const std::uint64_t sent = count(DW_COUNT_SENT) + count(DW_COUNT_BYTES_SENT);
    NoticeAccounts all{sent + lost, decoded_, lost + undecoded_};
    if (streams_) {
        all.consumed += streams_->buffer().decoded();
        all.lost += streams_->buffer().undecoded();
    }
    return all;
}

Losses BpfSource::losses() const
{
    Losses losses;
    losses.ring_full = count(DW_COUNT_RING_FULL);
    losses.table_full = count(DW_COUNT_TABLE_FULL);
    losses.storage_failed = count(DW_COUNT_STORAGE_FAILED);
    losses.multipath = count(DW_COUNT_MULTIPATH);
    losses.runs_missed = missed_runs(*skeleton_);
    losses.bytes_lost = count(DW_COUNT_BYTES_LOST);
    losses.undecoded = undecoded_ + (streams_ ? streams_->buffer().undecoded() : 0);
    losses.looks_failed = looks_failed_ + targets_.looks_failed();
    return losses;
}

std::uint64_t BpfSource::events_seen() const
{
    return watched_runs(*skeleton_);
}

void BpfSource::tell_streams_of_hooks()
{
    if (streams_) {
        streams_->set_hooked(is_attached("tcp_probe") && is_attached("net_dev_queue"));
    }
}

std::vector<HookUse> BpfSource::hooks() const
{
    return read_hooks(*skeleton_, way_ns_);
}

Result<void> BpfSource::set_attached(const std::string& hook, bool attached)
{
    std::erase(report_.attached, hook);
    auto done = drainwatch::set_attached(*skeleton_, hook, attached);
    if (done && attached) {
        report_.attached.push_back(hook);
    }
    tell_streams_of_hooks();
    return done;
}

}  // namespace drainwatch
