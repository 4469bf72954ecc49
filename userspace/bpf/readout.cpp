#include "bpf/readout.hpp"

#include "drainwatch/arrival_queue.h"
#include "drainwatch/reader_thread.h"
#include "profile.skel.h"

#include <bpf/bpf.h>
#include <algorithm>
#include <cstring>
#include <iterator>
#include <memory>

namespace drainwatch {
namespace {

/// Every entry of a hash. What changes meanwhile may be seen or not.
template <typename Key, typename Value, typename Take>
void for_each_entry(const bpf_map* map, Take&& take)
{
    const int fd = bpf_map__fd(map);
    auto value = std::make_unique<Value>();
    Key key{};
    const Key* before = nullptr;
    for (Key next{}; bpf_map_get_next_key(fd, before, &next) == 0;) {
        key = next;
        before = &key;
        if (bpf_map_lookup_elem(fd, &key, value.get()) == 0) {
            take(key, *value);
        }
    }
}

std::uint64_t group_of(dw_grouping grouping, std::uint64_t cookie, std::uint32_t tgid,
                       std::uint32_t tid)
{
    switch (grouping) {
        case DW_GROUP_ALL: return 0;
        case DW_GROUP_PROCESS: return tgid;
        case DW_GROUP_SOCKET: return cookie;
        case DW_GROUP_THREAD: return tid;
    }
    return 0;
}

std::uint64_t count(const profile_bpf& skeleton, dw_profile_counter counter)
{
    std::vector<std::uint64_t> each(static_cast<std::size_t>(libbpf_num_possible_cpus()));
    const auto key = static_cast<__u32>(counter);
    std::uint64_t sum = 0;
    if (bpf_map_lookup_elem(bpf_map__fd(skeleton.maps.missed), &key, each.data()) == 0) {
        for (const std::uint64_t value : each) {
            sum += value;
        }
    }
    return sum;
}

std::uint64_t count_missed_runs(const profile_bpf& skeleton)
{
    std::uint64_t sum = 0;
    bpf_program* program = nullptr;
    while ((program = bpf_object__next_program(skeleton.obj, program)) != nullptr) {
        bpf_prog_info info{};
        __u32 length = sizeof(info);
        const int fd = bpf_program__fd(program);
        if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &length) == 0) {
            sum += info.recursion_misses;
        }
    }
    return sum;
}

void read_buckets(const profile_bpf& skeleton, Measurement& into)
{
    for_each_entry<dw_bucket_key, dw_bucket>(
        skeleton.maps.buckets, [&](const dw_bucket_key& key, const dw_bucket& bucket) {
            if (key.distribution < DW_DISTRIBUTIONS) {
                into.groups[key.group].distributions[key.distribution].add(key.bucket, bucket);
            }
        });
}

void read_waits(const profile_bpf& skeleton, Measurement& into)
{
    for_each_entry<dw_wait_key, std::uint64_t>(
        skeleton.maps.waits, [&](const dw_wait_key& key, std::uint64_t ns) {
            into.groups[key.group].waiting.add(key.state, key.call, ns);
        });
}

std::vector<std::uint64_t> read_stack(const profile_bpf& skeleton, std::int32_t id)
{
    std::vector<std::uint64_t> frames(DW_STACK_DEPTH);
    if (id < 0 || bpf_map_lookup_elem(bpf_map__fd(skeleton.maps.stacks), &id, frames.data()) != 0) {
        return {};
    }
    frames.erase(std::find(frames.begin(), frames.end(), 0), frames.end());
    return frames;
}

/// Their names, and the waits that are under way.
void read_threads(const profile_bpf& skeleton, dw_grouping grouping, std::uint64_t now_ns,
                  Measurement& into)
{
    for_each_entry<std::uint32_t, dw_thread>(skeleton.maps.threads, [&](std::uint32_t tid,
                                                                        dw_thread& thread) {
        into.threads[tid] = {thread.tgid, {thread.comm, strnlen(thread.comm, sizeof(thread.comm))}};
        const std::uint64_t ns = dw_thread_settle(&thread, now_ns);
        if (ns == 0) {
            return;
        }
        into.groups[group_of(grouping, 0, thread.tgid, tid)].waiting.add(thread.state, thread.call,
                                                                         ns);
        if (skeleton.rodata->profile_config.stacks && thread.state != DW_THREAD_RUNNING) {
            into.stacks.push_back({thread.tgid, thread.state, thread.call,
                                   read_stack(skeleton, thread.kernel_stack),
                                   read_stack(skeleton, thread.user_stack), ns});
        }
    });
}

/// Of what lies unread: of what was there before, since when it was watched.
std::uint64_t oldest_age_ns(dw_measured_socket& m, const dw_slot& slot, std::uint64_t now_ns)
{
    const std::uint64_t came_ns = m.queue.count != 0 ? dw_queue_entry(&m.queue, 0)->at_ns : now_ns;
    return dw_later_by(now_ns, came_ns != 0 ? came_ns : slot.opened_ns);
}

/// What lies unread, and for how long its depth has been what it is.
void read_sockets(const profile_bpf& skeleton, std::uint32_t slots, dw_grouping grouping,
                  std::uint64_t now_ns, Measurement& into)
{
    const int slots_fd = bpf_map__fd(skeleton.maps.slots);
    const int measured_fd = bpf_map__fd(skeleton.maps.measured);
    auto m = std::make_unique<dw_measured_socket>();
    for (std::uint32_t slot = 0; slot < slots; slot++) {
        dw_slot s{};
        const bool live = bpf_map_lookup_elem(slots_fd, &slot, &s) == 0 && s.cookie != 0 &&
                          s.ended_ns == 0 &&
                          bpf_map_lookup_elem(measured_fd, &slot, m.get()) == 0 &&
                          m->cookie == s.cookie && m->generation == s.generation;
        if (!live) {
            continue;
        }
        const std::uint32_t unread = m->data_end - m->copied_seq;
        const std::uint64_t group = group_of(grouping, m->cookie, m->reader_tgid, m->reader_tid);
        if (unread != 0 && unread >= s.rcvlowat) {
            into.groups[group].unread.add({1, unread, oldest_age_ns(*m, s, now_ns)});
        }
        const std::uint64_t us = dw_later_by(now_ns, m->depth_since_ns) / 1000;
        into.groups[group].distributions[DW_DIST_QUEUE_BYTES].add(unread, us);
        if (m->waits != 0 && m->reader_tid == 0) {
            into.groups[group_of(grouping, 0, m->reader_tgid, 0)].waiting.add(
                DW_THREAD_UNKNOWN, DW_NO_CALL, dw_later_by(now_ns, m->orphan_since_ns));
        }
    }
}

void read_socket_names(const profile_bpf& skeleton, Measurement& into)
{
    for_each_entry<std::uint64_t, dw_socket_name>(
        skeleton.maps.socket_names, [&](std::uint64_t cookie, const dw_socket_name& name) {
            MeasuredSocket& socket = into.sockets[cookie];
            socket.tgid = name.tgid;
            socket.local.family = socket.remote.family = name.family;
            socket.local.port = name.local_port;
            socket.remote.port = name.remote_port;
            std::copy(std::begin(name.local), std::end(name.local), socket.local.address.begin());
            std::copy(std::begin(name.remote), std::end(name.remote),
                      socket.remote.address.begin());
        });
}

void read_stacks(const profile_bpf& skeleton, Measurement& into)
{
    for_each_entry<dw_stack_key, std::uint64_t>(
        skeleton.maps.stack_waits, [&](const dw_stack_key& key, std::uint64_t ns) {
            into.stacks.push_back({key.tgid, key.state, key.call,
                                   read_stack(skeleton, key.kernel_stack),
                                   read_stack(skeleton, key.user_stack), ns});
        });
}

}  // namespace

std::uint64_t count_reads(const profile_bpf& skeleton)
{
    std::uint64_t reads = 0;
    for_each_entry<dw_bucket_key, dw_bucket>(
        skeleton.maps.buckets, [&](const dw_bucket_key& key, const dw_bucket& bucket) {
            reads += key.distribution == DW_DIST_READ_BYTES ? bucket.count : 0;
        });
    return reads;
}

std::set<std::uint32_t> reading_processes(const profile_bpf& skeleton)
{
    std::set<std::uint32_t> pids;
    for_each_entry<std::uint32_t, dw_thread>(
        skeleton.maps.threads,
        [&](std::uint32_t /*tid*/, const dw_thread& thread) { pids.insert(thread.tgid); });
    return pids;
}

Measurement read_measurement(const profile_bpf& skeleton, std::uint32_t slots, dw_grouping grouping,
                             std::uint64_t now_ns)
{
    Measurement measurement;
    read_buckets(skeleton, measurement);
    read_waits(skeleton, measurement);
    read_threads(skeleton, grouping, now_ns, measurement);
    read_sockets(skeleton, slots, grouping, now_ns, measurement);
    read_socket_names(skeleton, measurement);
    read_stacks(skeleton, measurement);
    NotMeasured& missed = measurement.not_measured;
    missed.samples = count(skeleton, DW_MISSED_BUCKETS);
    missed.threads = count(skeleton, DW_MISSED_THREADS);
    missed.waits = count(skeleton, DW_MISSED_WAITS);
    missed.early_segments = count(skeleton, DW_EARLY_SEGMENTS);
    missed.merged_segments = count(skeleton, DW_MERGED_SEGMENTS);
    missed.runs_missed = count_missed_runs(skeleton);
    return measurement;
}

}  // namespace drainwatch
