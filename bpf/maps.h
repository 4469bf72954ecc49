/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every map of watch but those of runs.h: key, value, who writes, how large, and
 * what happens when it is full.
 */
#ifndef DRAINWATCH_MAPS_H
#define DRAINWATCH_MAPS_H

#include "socket_maps.h"
#include "drainwatch/listener_key.h"

#define RING_BYTES (256 * 1024)

/* Set by the user side while iter/task_file is to tell who else holds watched sockets. */
__u32 report_everyone = 0;
/* Slots from 0 up to here, and at most one more for each CPU, have been in use. */
__u32 slots_used = 0;
/* How many slots are free; set by the user side before anything attaches. */
__u32 slots_free = 0;
/* So many are kept for sockets with unread data. */
__u32 slots_reserve = 0;
/*
 * How many slots looks still give before those are left out that have nothing unread; set by the user
 * side. To fill them takes the first look longest: they get theirs from the full look after the start.
 */
__u32 slots_to_give = 0;
/* Set by the user side for a full look: sockets that were idle since before give their slots back. */
__u64 idle_before_ns = 0;
/* Set by the user side while it pauses: a full look has every socket do so, and watches none. `listeners` is cleared. */
__u32 releases_all = 0;
/* Set by the user side while no bytes of streams are wanted: see takes_streams(). */
__u32 streams_off = 0;
/* There was something in `unstored`. */
__u32 any_unstored = 0;
/* When the user side was last woken for a queue that fills. */
__u64 danger_woken_ns = 0;

/*
 * slot -> 1 if there may be unread data: dense, so that a look is cheap. Set
 * here, after the slot's own word of it (`noticed`); cleared by the user side
 * when it finds none, before that word. Should the two cross, the next arrival
 * or full look sets it again.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* as slots */
	__type(key, __u32);
	__type(value, __u64);
} attention SEC(".maps");

/*
 * Free slots; filled before anything attaches. Empty: a socket that
 * has something unread is not followed now, and counted.
 */
struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, 1); /* as slots */
	__type(value, __u32);
} free_slots SEC(".maps");

/*
 * Address of a sock -> 1 while a slot is sought for it: a segment may come to a
 * socket that a full look is just finding. And number of a slot -> 1 while it is
 * given back. Written and deleted here. Full: the next event or look tries again.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u32);
} claims SEC(".maps");

/*
 * Address of a sock -> 1 if it was to be watched, could not be remembered, and
 * was counted. Written here; deleted as the socket is destroyed. Full: further
 * ones are not counted.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u32);
} unstored SEC(".maps");

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
	__uint(max_entries, RING_BYTES);
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

/* Are bytes of streams handed on, for the sake of TLS? */
static __always_inline int takes_streams(void)
{
	return config.tls && !streams_off;
}

/* count(), where not one may be missing: an interrupt may come in between and count as well. */
static __always_inline void count_exactly(__u32 what)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &what);

	if (value)
		__sync_fetch_and_add(value, 1);
}

/* The one way into the ring: what goes in and what does not is counted. */
static __always_inline void send_record(const struct dw_record *record)
{
	/* some can wait, while there is room; the others wake the user side whatever lies before them */
	int can_wait = record->kind == DW_REC_CLOSED || record->kind == DW_REC_CONNECTED ||
		       record->kind == DW_REC_HANDSHAKE_BEGUN ||
		       record->kind == DW_REC_HANDSHAKE_OVER;
	int has_room = bpf_ringbuf_query(&records, BPF_RB_AVAIL_DATA) < RING_BYTES / 2;
	__u64 flags = can_wait && has_room ? BPF_RB_NO_WAKEUP : BPF_RB_FORCE_WAKEUP;

	if (bpf_ringbuf_output(&records, (void *)record, sizeof(*record), flags))
		count_exactly(DW_COUNT_RING_FULL);
	else
		count_exactly(DW_COUNT_SENT);
}

#endif
