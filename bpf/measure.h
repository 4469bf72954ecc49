/* SPDX-License-Identifier: GPL-2.0 */
/* What `profile` measures: how long segments wait, and what their readers do meanwhile. */
#ifndef DRAINWATCH_MEASURE_H
#define DRAINWATCH_MEASURE_H

#include "profile_maps.h"
#include "segment.h"
#include "sockets.h"
#include "system_call.h"
#include "drainwatch/arrival_queue.h"
#include "drainwatch/histogram.h"
#include "drainwatch/reader_thread.h"

#define NS_PER_US 1000
#define NS_PER_S 1000000000

/* Who reads: the task that runs. */
struct reader {
	__u32 tid;
	__u32 tgid;
};

static __always_inline struct reader current_reader(void)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct reader reader = {.tid = (__u32)id, .tgid = id >> 32};

	return reader;
}

static __always_inline __u64 group_of(__u64 cookie, __u32 tgid, __u32 tid)
{
	switch (profile_config.grouping) {
	case DW_GROUP_PROCESS:
		return tgid;
	case DW_GROUP_SOCKET:
		return cookie;
	case DW_GROUP_THREAD:
		return tid;
	default:
		return 0;
	}
}

/*
 * A sample that counts `weight` times. (A global function: the verifier looks
 * at it once, not with each of the calls.)
 */
__noinline int record(__u64 group, __u32 distribution, __u64 value, __u64 weight)
{
	struct dw_bucket_key key = {
		.group = group,
		.distribution = distribution,
		.bucket = dw_bucket_of(value),
	};
	struct dw_bucket *bucket = bpf_map_lookup_elem(&buckets, &key);

	if (!bucket) {
		struct dw_bucket none = {};

		bpf_map_update_elem(&buckets, &key, &none, BPF_NOEXIST);
		bucket = bpf_map_lookup_elem(&buckets, &key);
		if (!bucket) {
			count_missed(DW_MISSED_BUCKETS, 1);
			return 0;
		}
	}
	__sync_fetch_and_add(&bucket->count, weight);
	__sync_fetch_and_add(&bucket->sum, value * weight);
	if (value > bucket->max)
		bucket->max = value; /* two CPUs may cross: then it is the other's */
	return 0;
}

/* So much time was spent in this state, with data unread. */
static __always_inline void record_wait(__u64 group, __u32 state, __s32 call, __u64 ns)
{
	struct dw_wait_key key = {.group = group, .state = state, .call = call};
	__u64 *sum = bpf_map_lookup_elem(&waits, &key);

	if (sum)
		__sync_fetch_and_add(sum, ns);
	else if (bpf_map_update_elem(&waits, &key, &ns, BPF_NOEXIST))
		count_missed(DW_MISSED_WAITS, 1);
}

static __always_inline void record_stack(const struct dw_thread *t, __u64 ns)
{
	struct dw_stack_key key = {
		.tgid = t->tgid,
		.state = t->state,
		.call = t->call,
		.kernel_stack = t->kernel_stack,
		.user_stack = t->user_stack,
	};
	__u64 *sum = bpf_map_lookup_elem(&stack_waits, &key);

	if (sum)
		__sync_fetch_and_add(sum, ns);
	else if (bpf_map_update_elem(&stack_waits, &key, &ns, BPF_NOEXIST))
		count_missed(DW_MISSED_WAITS, 1);
}

/* Record what the thread has done up to now, before it does something else. */
static __always_inline void settle(struct dw_thread *t, __u32 tid, __u64 now_ns)
{
	__u64 ns = dw_thread_settle(t, now_ns);

	/* waits are a thread's, not a socket's */
	if (!ns)
		return;
	record_wait(group_of(0, t->tgid, tid), t->state, t->call, ns);
	if (profile_config.stacks && t->state != DW_THREAD_RUNNING)
		record_stack(t, ns);
}

static __always_inline struct dw_thread *thread_of(struct reader reader, __u64 now_ns)
{
	struct dw_thread *t = bpf_map_lookup_elem(&threads, &reader.tid);
	__u32 zero = 0;

	if (t)
		return t;
	t = bpf_map_lookup_elem(&new_thread, &zero);
	if (!t)
		return NULL;
	dw_thread_begin(t, now_ns);
	t->tgid = reader.tgid;
	bpf_get_current_comm(t->comm, sizeof(t->comm));
	if (bpf_map_update_elem(&threads, &reader.tid, t, BPF_NOEXIST))
		count_missed(DW_MISSED_THREADS, 1);
	return bpf_map_lookup_elem(&threads, &reader.tid);
}

/* The socket begins, or ends, to hold unread data: its reader has one more, or less, to read. */
static __always_inline void set_waits(struct dw_measured_socket *m, __u32 waits, __u64 now_ns)
{
	__u32 tid = m->reader_tid;
	struct dw_thread *t;

	if (waits == m->waits)
		return;
	m->waits = waits;
	if (!tid) {
		if (!waits)
			record_wait(group_of(0, m->reader_tgid, 0), DW_THREAD_UNKNOWN, DW_NO_CALL,
				    dw_later_by(now_ns, m->orphan_since_ns));
		m->orphan_since_ns = now_ns;
		return;
	}
	t = bpf_map_lookup_elem(&threads, &tid);
	if (!t)
		return;
	if (waits) {
		if (t->unread <= 0)
			t->since_ns = now_ns;
		__sync_fetch_and_add(&t->unread, 1);
	} else {
		if (t->unread == 1)
			settle(t, tid, now_ns);
		__sync_fetch_and_add(&t->unread, -1);
	}
}

static __always_inline void follow_wait(struct dw_measured_socket *m, __u64 now_ns)
{
	set_waits(m, dw_seq_before(m->copied_seq, m->data_end), now_ns);
}

/* From now on the socket is this thread's to read. */
static __always_inline void hand_over(struct dw_measured_socket *m, struct reader reader,
				      __u64 now_ns)
{
	if (m->reader_tid == reader.tid)
		return;
	set_waits(m, 0, now_ns);
	m->reader_tid = reader.tid;
	m->reader_tgid = reader.tgid;
}

/* The depth is about to change: record how long it was what it is. */
static __always_inline void record_depth(struct dw_measured_socket *m, __u64 now_ns)
{
	__u64 us = dw_later_by(now_ns, m->depth_since_ns) / NS_PER_US;

	if (!us)
		return;
	m->depth_since_ns += us * NS_PER_US;
	record(group_of(m->cookie, m->reader_tgid, m->reader_tid), DW_DIST_QUEUE_BYTES,
	       m->data_end - m->copied_seq, us);
}

static __always_inline void name_socket(const struct dw_slot *s)
{
	struct dw_socket_name name = {
		.tgid = s->owner_tgid,
		.family = s->family,
		.local_port = s->local_port,
		.remote_port = s->remote_port,
	};
	__u64 cookie = s->cookie;

	__builtin_memcpy(name.local, s->local, sizeof(name.local));
	__builtin_memcpy(name.remote, s->remote, sizeof(name.remote));
	bpf_map_update_elem(&socket_names, &cookie, &name, BPF_ANY);
}

/* Who reads what has never been read is known if the owner has but one thread. */
static __always_inline void find_reader(struct dw_measured_socket *m, __u64 now_ns)
{
	struct reader owner = {.tid = m->reader_tgid, .tgid = m->reader_tgid};
	struct dw_thread *t = bpf_map_lookup_elem(&threads, &owner.tid);

	if (!m->reader_tid && t && t->alone)
		hand_over(m, owner, now_ns);
	follow_wait(m, now_ns);
}

static __always_inline int has_begun(const struct dw_measured_socket *m, const struct dw_slot *s)
{
	return m->cookie == s->cookie && m->generation == s->generation;
}

/*
 * The socket is seen for the first time; its slot still says what was before
 * that (our programs run before those that follow it). Nobody knows when what
 * lies unread came. The one before it in this slot may have been idle, and live
 * on without a slot.
 */
static __always_inline void begin_socket(struct dw_measured_socket *m, const struct dw_slot *s)
{
	__u64 now_ns = bpf_ktime_get_ns();

	if (m->cookie && !m->closed)
		record_depth(m, now_ns);
	set_waits(m, 0, now_ns);
	m->depth_since_ns = now_ns;
	m->copied_seq = s->copied_seq;
	m->data_end = s->data_end;
	m->reader_tid = 0;
	m->reader_tgid = s->owner_tgid;
	m->closed = 0;
	dw_queue_clear(&m->queue);
	if (dw_seq_before(m->copied_seq, m->data_end))
		dw_queue_push(&m->queue, m->data_end, 0);
	m->generation = s->generation;
	m->cookie = s->cookie;
	if (profile_config.grouping == DW_GROUP_SOCKET)
		name_socket(s);
	find_reader(m, now_ns);
}

/* An event and the user side may come to it at once: one of them begins. */
static __always_inline void begin_once(__u32 slot, struct dw_measured_socket *m,
				       const struct dw_slot *s)
{
	__u32 claimed = 1;

	if (bpf_map_update_elem(&beginning, &slot, &claimed, BPF_NOEXIST))
		return;
	if (!has_begun(m, s))
		begin_socket(m, s);
	bpf_map_delete_elem(&beginning, &slot);
}

/* What is measured of a watched connection; NULL for everything else. */
static __always_inline struct dw_measured_socket *measured_of(struct sock *sk, __u32 *slot)
{
	struct dw_slot *s = slot_of(sk, slot);
	struct dw_measured_socket *m;

	if (!s || ended)
		return NULL;
	m = bpf_map_lookup_elem(&measured, slot);
	if (!m)
		return NULL;
	if (!has_begun(m, s))
		begin_once(*slot, m, s);
	return has_begun(m, s) ? m : NULL;
}

/* A global function, to be verified once. */
__noinline int merge_step(__u32 slot, __u32 i, __u64 now_ns)
{
	struct dw_measured_socket *m = bpf_map_lookup_elem(&measured, &slot);

	if (m)
		dw_queue_merge_step(&m->queue, i, now_ns);
	return 0;
}

static __always_inline void make_room(__u32 slot, struct dw_measured_socket *m, __u64 now_ns)
{
	dw_queue_begin_merge(&m->queue);
	for (__u32 i = 1; i < DW_QUEUE_LEN; i++)
		merge_step(slot, i, now_ns);
	count_missed(DW_MERGED_SEGMENTS, dw_queue_end_merge(&m->queue));
}

/*
 * When a segment came to this host, by its stamp, if it has one. The kernel has
 * had it in hand at clock_ns: what waited in the backlog, for the reader held
 * the socket, by up to some milliseconds later.
 */
static __always_inline __u64 stamp_or_clock(const struct sk_buff *skb, __u64 clock_ns)
{
	__u64 stamp_ns = (__u64)BPF_CORE_READ(skb, tstamp) - realtime_offset_ns;

	return clock_ns - stamp_ns < NS_PER_S ? stamp_ns : clock_ns;
}

/*
 * The same for what has just reached the receive queue: its last segment, unless
 * others came out of order. Those have waited for this one, and come with it.
 */
static __always_inline __u64 arrival_ns(struct dw_measured_socket *m, const struct tcp_sock *tp)
{
	const struct sock *sk = &tp->inet_conn.icsk_inet.sk;
	__u32 out_of_order = tp->rcv_ooopack;
	__u64 clock_ns = segment_time_ns(tp);

	if (m->out_of_order != out_of_order) {
		m->out_of_order = out_of_order;
		return clock_ns;
	}
	return stamp_or_clock(BPF_CORE_READ(sk, sk_receive_queue.prev), clock_ns);
}

/* In-order data up to data_end came at at_ns. */
static __always_inline void measure_arrival(__u32 slot, struct dw_measured_socket *m, __u32 data_end,
					    __u64 at_ns)
{
	if (!dw_seq_before(m->data_end, data_end))
		return;
	if (m->queue.count >= DW_QUEUE_LEN)
		make_room(slot, m, at_ns);
	record_depth(m, at_ns);
	m->data_end = data_end;
	if (dw_seq_before(m->copied_seq, data_end))
		dw_queue_push(&m->queue, data_end, at_ns);
	follow_wait(m, at_ns);
}

static __always_inline void record_latency(__u64 group, const struct dw_thread *t,
					   const struct dw_segments *read, __u64 now_ns)
{
	__u64 latency_ns = dw_later_by(now_ns, read->at_ns);
	struct dw_parts parts = {.unattributed = latency_ns};

	if (t)
		parts = dw_thread_split(t, read->at_ns, now_ns);
	record(group, DW_DIST_READ_LATENCY, latency_ns, read->count);
	if (parts.wakeup)
		record(group, DW_DIST_WAKEUP, parts.wakeup, read->count);
	if (parts.schedule)
		record(group, DW_DIST_SCHEDULE, parts.schedule, read->count);
	if (parts.application)
		record(group, DW_DIST_APPLICATION, parts.application, read->count);
	if (parts.unattributed)
		record(group, DW_DIST_UNATTRIBUTED, parts.unattributed, read->count);
}

/* Record the oldest entry of the queue, read at read_ns. A global function, to be verified once. */
__noinline int measure_oldest(__u32 slot, __u32 tid, __u64 read_ns)
{
	struct dw_measured_socket *m = bpf_map_lookup_elem(&measured, &slot);
	struct dw_thread *t = bpf_map_lookup_elem(&threads, &tid);
	struct dw_segments read;

	if (!m || !dw_queue_pop(&m->queue, m->copied_seq, &read))
		return 0;
	m->popped_seq = read.end_seq;
	m->popped_at_ns = read.at_ns;
	if (read.at_ns)
		record_latency(group_of(m->cookie, bpf_get_current_pid_tgid() >> 32, tid), t, &read,
			       read_ns);
	else
		count_missed(DW_EARLY_SEGMENTS, read.count);
	return 0;
}

/* All that was copied so far has been read by this time. */
static __always_inline void measure_latencies(__u32 slot, struct dw_measured_socket *m, __u32 tid,
					      __u64 read_ns)
{
	for (int i = 0; i < DW_QUEUE_LEN; i++) {
		if (!dw_queue_can_pop(&m->queue, m->copied_seq))
			break;
		measure_oldest(slot, tid, read_ns);
	}
}

/* When the last byte came that was read; 0 if that is not known. What was read as a whole is popped. */
static __always_inline __u64 last_byte_ns(struct dw_measured_socket *m)
{
	if (m->popped_seq == m->copied_seq)
		return m->popped_at_ns;
	return m->queue.count ? dw_queue_entry(&m->queue, 0)->at_ns : 0;
}

/*
 * The task that runs has copied everything before copied_seq. What the last
 * piece brought it has only when its call returns, and on the way there the
 * kernel may send an acknowledgement, which takes longer than the copying. The
 * pieces before, if there were any, it has had since they were copied: it may
 * have slept since, to wait for more.
 */
static __always_inline void measure_copy(__u32 slot, struct dw_measured_socket *m,
					 struct reader reader, __u32 copied_seq, __u64 now_ns)
{
	thread_of(reader, now_ns);
	measure_latencies(slot, m, reader.tid, m->copied_ns);
	record_depth(m, now_ns);
	m->copied_ns = now_ns;
	m->copied_seq = copied_seq;
	if (dw_seq_before(m->data_end, copied_seq))
		m->data_end = copied_seq; /* no hook told of it */
	hand_over(m, reader, now_ns);
	follow_wait(m, now_ns);
}

#endif
