/* SPDX-License-Identifier: GPL-2.0 */
/* Every map: key, value, who writes, how large, and what happens when it is full. */
#ifndef DRAINWATCH_MAPS_H
#define DRAINWATCH_MAPS_H

#include "socket_maps.h"
#include "drainwatch/listener_key.h"

/* Written by the user side now and then: the current period of habits. */
__u32 habit_period = 0;
/* Set by the user side while iter/task_file is to tell who else holds watched sockets. */
__u32 report_everyone = 0;
/* Slots from 0 up to here, and at most one more for each CPU, have been in use. */
__u32 slots_used = 0;
/* When the user side was last woken for a queue that fills. */
__u64 danger_woken_ns = 0;

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

/* Free slots; filled before anything attaches. Empty: the socket is not watched, and counted. */
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

/* The one way into the ring: what goes in and what does not is counted. */
static __always_inline void send_record(const struct dw_record *record)
{
	if (bpf_ringbuf_output(&records, (void *)record, sizeof(*record), BPF_RB_FORCE_WAKEUP))
		count(DW_COUNT_RING_FULL);
	else
		count(DW_COUNT_SENT);
}

#endif
