/* SPDX-License-Identifier: GPL-2.0 */
/* Every map: key, value, who writes, how large, and what happens when it is full. */
#ifndef DRAINWATCH_MAPS_H
#define DRAINWATCH_MAPS_H

/* bpf_helpers.h needs the types first */
#include "kernel_types.h"

#include <bpf/bpf_helpers.h>

#include "drainwatch/abi.h"
#include "drainwatch/listener_key.h"

/* The configuration, written before load. */
const volatile struct dw_config config = {};

/* Written by the user side now and then: the current period of habits. */
__u32 habit_period = 0;
/* Set by the user side while iter/task_file is to tell who else holds watched sockets. */
__u32 report_everyone = 0;
/* Slots from 0 up to here, and at most one more for each CPU, have been in use. */
__u32 slots_used = 0;
/* How many slots are free; set by the user side before anything attaches. */
__u32 slots_free = 0;
/* So many are kept for sockets with unread data. */
__u32 slots_reserve = 0;
/* Set by the user side for a full look: sockets that were idle since before give their slots back. */
__u64 idle_before_ns = 0;
/* Set by the user side for a full look: every socket does. */
__u32 releases_all = 0;
/* When the user side was last woken for a queue that fills. */
__u64 danger_woken_ns = 0;

/*
 * What is known of a watched socket: which slot is its own. In socket storage a
 * listener's is copied to the connections it gives birth to (BPF_F_CLONE),
 * whose first event adopts it.
 */
struct dw_ref {
	__u64 self;   /* the socket it was made for; another one's is a copy */
	__u64 cookie; /* that of the slot; 0 without one */
	__u32 slot;   /* DW_NO_SLOT for a listener, and for a connection that has none yet */
	__u32 owner_tgid;
	__u16 listens_on; /* a listener's port, by which it is in `listeners`; 0 for a connection */
	__u8 turned_away; /* found the table full, and was counted */
	__u8 pad[5];
};

/*
 * sock -> dw_ref, unless config.sockets_by_address. Written here; freed with
 * the socket. A failure is counted.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct dw_ref);
} sockets SEC(".maps");

/*
 * Address of a sock -> dw_ref, if config.sockets_by_address. Written here;
 * deleted as the socket is destroyed. Full: the socket is not watched, and counted.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* set before load: one for each slot and each listener */
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct dw_ref);
} sockets_by_address SEC(".maps");

/*
 * slot -> the truth about its socket. Written here under the socket's lock,
 * mapped by the user side.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* set before load: the number of slots */
	__type(key, __u32);
	__type(value, struct dw_slot);
} slots SEC(".maps");

/*
 * slot -> 1 if there may be unread data: dense, so that a look is cheap. Set
 * here, cleared by the user side when it finds none. Should the two cross, the
 * next arrival or full look sets it again.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* as slots */
	__type(key, __u32);
	__type(value, __u64);
} attention SEC(".maps");

/*
 * Low bits of a cookie -> the slot of the last socket that had them: a hint,
 * for the slot itself has the whole cookie. Written here as a slot is taken;
 * of two sockets in one place, the earlier is found by its storage.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* set before load: config.index_mask + 1 */
	__type(key, __u32);
	__type(value, __u32);
} slot_index SEC(".maps");

/*
 * Free slots; filled before anything attaches. Empty: a socket that
 * has something unread is not followed now, and counted.
 */
struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, 1); /* as slots */
	__type(value, __u32);
} free_slots SEC(".maps");

/* tgid -> DW_TARGET_*. Written by both sides. Full: further targets are not watched. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u32);
} targets SEC(".maps");

struct dw_listener {
	__u32 owner_tgid;
	__u32 sockets; /* how many listen there (SO_REUSEPORT) */
	__u32 v6only;  /* takes no IPv4 connections */
};

/*
 * dw_listener_key -> dw_listener: whose connections are found by where they
 * are, because they were born unseen. Written here, deleted with the last
 * listener. Full: counted; connections of further listeners are not found so.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, DW_MAX_LISTENERS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct dw_listener_key);
	__type(value, struct dw_listener);
} listeners SEC(".maps");

/* dw_record to the user side. Full: the record is counted as lost, its slot still tells. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} records SEC(".maps");

/*
 * dw_stream_bytes and a segment to the user side. Written here, a buffer for each
 * CPU. Full: counted; of that handshake, less is known.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} stream_bytes SEC(".maps");

/* dw_counter -> count. Written here, each CPU its own. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DW_COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

static __always_inline void count(__u32 what)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &what);

	if (value)
		(*value)++;
}

/* The same where not one may be missing: an interrupt may come in between and count as well. */
static __always_inline void count_exactly(__u32 what)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &what);

	if (value)
		__sync_fetch_and_add(value, 1);
}

/* The one way into the ring: what goes in and what does not is counted. */
static __always_inline void send_record(const struct dw_record *record)
{
	/* wakes the user side unless it is at work on the ring already */
	if (bpf_ringbuf_output(&records, (void *)record, sizeof(*record), 0))
		count_exactly(DW_COUNT_RING_FULL);
	else
		count_exactly(DW_COUNT_SENT);
}

#endif
