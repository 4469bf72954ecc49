#include "bpf/bpf_source.hpp"

#include "bpf/hooks.hpp"
#include "bpf/iterators.hpp"
#include "bpf/way.hpp"
#include "drainwatch.skel.h"
#include "drainwatch/socket_track.h"
#include "host/clock.hpp"
#include "state/slot.hpp"

#include <bpf/bpf.h>
#include <sys/epoll.h>
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <functional>
#include <iterator>
#include <string_view>
#include <thread>
#include <utility>

namespace drainwatch {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::nanoseconds kDangerAge = 5ms;
constexpr std::chrono::nanoseconds kDangerInterval = 5ms;

/// `slots_used` may lag behind by one for each CPU that takes a slot at the same time.
constexpr std::uint32_t kSlotSlack = 256;

/// One slot in so many, and so many at least, are kept for sockets with unread data.
constexpr std::uint32_t kReserveShare = 16;
constexpr std::uint32_t kSmallestReserve = 16;
/// So many sockets with nothing unread are given a slot before the start; to fill these takes 2 ms,
/// and the hosts that are watched have fewer. The others are given theirs right after it.
constexpr std::uint32_t kSlotsBeforeStart = 2048;
/// A socket with nothing unread for so long is in no episode any more.
constexpr std::chrono::nanoseconds kShortestIdle = 1s;

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

/// At its end, what the peer has sent may still be read if it ended in order; else what was unread
/// is given up, though the socket may live on.
bool is_given_up(const dw_slot& slot)
{
    return slot.state == DW_TCP_CLOSE && slot.unread.count == 0 && dw_unread_bytes(&slot) != 0;
}

/// Of all that a slot says, without the padding behind it.
std::size_t content_of(const dw_slot& slot)
{
    constexpr std::size_t kBytes = offsetof(dw_slot, remote) + sizeof(slot.remote);
    return std::hash<std::string_view>()({reinterpret_cast<const char*>(&slot), kBytes});
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
    source->streams_ = std::move(loaded->streams);
    source->ring_.reset(ring_buffer__new(bpf_map__fd(source->skeleton_->maps.records), on_record,
                                         source.get(), nullptr));
    if (!source->ring_) {
        return tl::unexpected(system_error("open", "the ring buffer", errno));
    }
    if (const auto opened = source->open_wake(); !opened) {
        return tl::unexpected(opened.error());
    }
    if (const auto filled = source->fill_free_slots(); !filled) {
        return tl::unexpected(filled.error());
    }
    const std::uint32_t size = source->table_.size();
    source->skeleton_->bss->slots_free = size;
    source->skeleton_->bss->slots_to_give = kSlotsBeforeStart;
    source->skeleton_->bss->slots_reserve = std::max(size / kReserveShare, kSmallestReserve);
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
    report.memory_bytes =
        map_memory(*source->skeleton_) + (source->streams_ ? source->streams_->memory_bytes() : 0);
    source->report_ = std::move(report);
    return source;
}

/// The ring wakes us, and so does a buffer of streams that fills.
Result<void> BpfSource::open_wake()
{
    wake_ = File(epoll_create1(EPOLL_CLOEXEC));
    std::vector<int> sources{ring_buffer__epoll_fd(ring_.get())};
    if (streams_) {
        sources.push_back(streams_->wake_fd());
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

Result<void> BpfSource::fill_free_slots()
{
    const int fd = bpf_program__fd(skeleton_->progs.fill_free_slots);
    for (std::uint64_t end = table_.size(); end > 0; end -= DW_FILL_BATCH) {
        std::uint64_t first = end - DW_FILL_BATCH;
        bpf_test_run_opts options{};
        options.sz = sizeof(options);
        options.ctx_in = &first;
        options.ctx_size_in = sizeof(first);
        if (bpf_prog_test_run_opts(fd, &options) != 0) {
            return fill_free_slots_one_by_one();  // before 5.10 there is no such test run
        }
    }
    return {};
}

Result<void> BpfSource::fill_free_slots_one_by_one()
{
    for (std::uint32_t end = table_.size(); end > 0; end--) {
        if (auto given = give_back(end - 1); !given) {
            return given;
        }
    }
    return {};
}

Result<void> BpfSource::give_back(std::uint32_t slot)
{
    const int fd = bpf_map__fd(skeleton_->maps.free_slots);
    if (const int error = bpf_map_update_elem(fd, nullptr, &slot, BPF_ANY); error != 0) {
        return tl::unexpected(system_error("fill", "the table of sockets", -error));
    }
    return {};
}

/// What no look comes to any more has its slot still.
void BpfSource::clear_slots()
{
    std::this_thread::sleep_for(kSettlingStep);  // for runs that had begun before
    for (const std::uint32_t slot : table_.clear(slots_in_use())) {
        if (give_back(slot)) {
            __atomic_fetch_add(&skeleton_->bss->slots_free, 1, __ATOMIC_RELAXED);
        }
    }
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

std::vector<Notice> BpfSource::take_notices()
{
    ring_buffer__consume(ring_.get());
    const auto records = std::exchange(records_, {});
    std::vector<Notice> notices;
    notices.reserve(records.size());
    for (const Record& record : records) {
        if (const auto* of_socket = std::get_if<SocketRecord>(&record)) {
            seen_[of_socket->notice.cookie].slot = of_socket->slot;
            notices.emplace_back(of_socket->notice);
        } else if (auto told = targets_.note(std::get<ProcessNotice>(record))) {
            notices.emplace_back(std::move(*told));
        }
    }
    return notices;
}

std::vector<StreamBytes> BpfSource::take_stream_bytes()
{
    auto bytes = streams_ ? streams_->take() : std::vector<StreamBytes>();
    // What was on its way when they were given up is not all that there was.
    return takes_streams() ? std::move(bytes) : std::vector<StreamBytes>();
}

bool BpfSource::takes_streams() const
{
    return streams_ && skeleton_->bss->streams_off == 0;
}

void BpfSource::take_streams(bool taken)
{
    if (taken) {
        // Of these, the beginning may have been seen, but not what came since.
        table_.settle_handshakes(slots_in_use());
    }
    __atomic_store_n(&skeleton_->bss->streams_off, taken ? 0U : 1U, __ATOMIC_SEQ_CST);
}

HookRuns BpfSource::stream_runs() const
{
    return read_stream_runs(*skeleton_);
}

void BpfSource::settle_handshake(Cookie cookie, std::uint64_t place, std::uint8_t alert_bytes)
{
    const HandshakePlace at = handshake_place(place);
    table_.settle_handshake(at.slot, cookie, at.round, alert_bytes);
}

std::uint32_t BpfSource::slots_in_use() const
{
    const std::uint32_t used = __atomic_load_n(&skeleton_->bss->slots_used, __ATOMIC_RELAXED);
    return std::min(table_.size(), used + kSlotSlack);
}

Look BpfSource::look(const std::vector<Cookie>& followed,
                     const std::unordered_set<Cookie>& all_told)
{
    Look look;
    looks_++;
    const std::uint32_t end = slots_in_use();
    // By address, no full look comes to a connection at its end: only that hook tells of reads.
    const bool sees_last_reads = is_attached("tcp_rcv_space_adjust");
    const auto is_past = [&](const dw_slot& value) {
        return is_given_up(value) || (value.state == DW_TCP_CLOSE && !sees_last_reads);
    };
    const auto take = [&](std::uint32_t slot, const dw_slot& value) {
        const Cookie cookie{value.cookie};
        Seen& seen = seen_[cookie];
        seen.slot = slot;
        seen.look = looks_;
        const auto before = seen.content;
        seen.content = all_told.contains(cookie) ? std::optional(content_of(value)) : std::nullopt;
        if (seen.content && seen.content == before) {
            look.unchanged.push_back(cookie);
        } else {
            look.samples.push_back(decode_slot(value, monotonic_ns()));
        }
    };
    for (std::uint32_t slot = 0; slot < end; slot++) {
        if (!table_.calls_for_attention(slot)) {
            continue;
        }
        const auto value = table_.read(slot);
        if (value && is_taken(*value) && !is_past(*value)) {
            take(slot, *value);
        }
    }
    for (const Cookie cookie : followed) {
        const auto known = seen_.find(cookie);
        if (known != seen_.end() && known->second.look == looks_) {
            continue;
        }
        const auto slot = known != seen_.end() ? std::optional(known->second.slot)
                                               : table_.find(cookie, end);  // after a pause
        if (!slot) {
            look.gone.push_back(cookie);
            continue;
        }
        const auto value = table_.read(*slot);
        if (!value) {
            seen_[cookie] = {*slot, looks_, std::nullopt};  // changing fast: not now
        } else if (Cookie{value->cookie} != cookie || !is_taken(*value) || is_past(*value)) {
            look.gone.push_back(cookie);
        } else {
            take(*slot, *value);
        }
    }
    std::erase_if(seen_, [&](const auto& entry) { return entry.second.look != looks_; });
    return look;
}

std::optional<SocketSample> BpfSource::sample(Cookie cookie) const
{
    const auto known = seen_.find(cookie);
    if (known == seen_.end()) {
        return std::nullopt;
    }
    const auto value = table_.read(known->second.slot);
    if (!value || Cookie{value->cookie} != cookie) {
        return std::nullopt;
    }
    return decode_slot(*value, monotonic_ns());
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

/// The table runs full: the sockets that were idle longest are to give their slots back.
void BpfSource::make_room()
{
    auto& bss = *skeleton_->bss;
    const std::uint32_t free = __atomic_load_n(&bss.slots_free, __ATOMIC_RELAXED);
    bss.idle_before_ns = 0;
    if (free < bss.slots_reserve) {
        const std::uint64_t limit_ns =
            monotonic_ns() - static_cast<std::uint64_t>(kShortestIdle.count());
        const std::uint64_t idle_since =
            table_.idle_since(slots_in_use(), 2 * bss.slots_reserve - free, limit_ns);
        bss.idle_before_ns = idle_since != 0 ? idle_since + 1 : 0;
    }
}

bool BpfSource::is_short_of_room() const
{
    const auto& bss = *skeleton_->bss;
    return __atomic_load_n(&bss.slots_free, __ATOMIC_RELAXED) < bss.slots_reserve / 2;
}

Result<void> BpfSource::heal()
{
    make_room();
    const bool has_left_out = std::exchange(skeleton_->bss->slots_to_give, table_.size()) == 0;
    auto healed = look_through_sockets();
    if (has_left_out && !heals_by_descriptor(*skeleton_)) {
        targets_.refresh_holders();  // they have a slot now
    }
    return healed;
}

Result<void> BpfSource::look_through_sockets()
{
    if (remembers_by_address(*skeleton_)) {
        targets_.look_through_again(table_.namespaces(slots_in_use()));
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

/// Every socket gives its slot back, and every listener is forgotten.
Result<void> BpfSource::release_all()
{
    skeleton_->bss->releases_all = 1;
    auto released = look_through_sockets();
    if (heals_by_descriptor(*skeleton_)) {
        (void)targets_.all_holders();  // others may hold some of them
    }
    skeleton_->bss->releases_all = 0;
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
            streams_->collect();
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
    for (const std::string& hook : paused_) {
        // The ends of sockets are followed until every socket has given its slot back.
        if (hook != kEndOfSockets) {
            (void)set_attached(hook, false);
        }
    }
    auto released = release_all();
    detach_programs(*skeleton_);
    report_.attached.clear();
    clear_slots();
    // Numbers of processes, addresses of sockets and ports may be others' by the time of resume().
    targets_.forget();
    clear_map(skeleton_->maps.targets);
    clear_map(skeleton_->maps.listeners);
    clear_map(skeleton_->maps.unstored);
    if (remembers_by_address(*skeleton_)) {
        clear_map(skeleton_->maps.sockets_by_address);
    }
    seen_.clear();
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
    targets_.follow(followed);
    for (const std::string& hook : paused_) {
        if (auto attached = set_attached(hook, true); !attached) {
            detach_programs(*skeleton_);
            report_.attached.clear();
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
        all.consumed += streams_->decoded();
        all.lost += streams_->undecoded();
    }
    return all;
}

Losses BpfSource::losses() const
{
    Losses losses;
    losses.ring_full = count(DW_COUNT_RING_FULL);
    losses.table_full = count(DW_COUNT_TABLE_FULL);
    losses.storage_failed = count(DW_COUNT_STORAGE_FAILED);
    losses.runs_missed = missed_runs(*skeleton_);
    losses.bytes_lost = count(DW_COUNT_BYTES_LOST);
    losses.undecoded = undecoded_ + (streams_ ? streams_->undecoded() : 0);
    losses.looks_failed = looks_failed_ + targets_.looks_failed();
    return losses;
}

std::uint64_t BpfSource::events_seen() const
{
    return watched_runs(*skeleton_);
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
    return done;
}

}  // namespace drainwatch
