/* SPDX-License-Identifier: GPL-2.0 */
/* The maps of `profile`: key, value, who writes, how large, and what happens when it is full. */
#ifndef DRAINWATCH_PROFILE_MAPS_H
#define DRAINWATCH_PROFILE_MAPS_H

#include "socket_maps.h"
#include "drainwatch/profile_abi.h"

/* What is to be measured, written before load. */
const volatile struct dw_profile_config profile_config = {};

/* Written by the user side: CLOCK_REALTIME less CLOCK_MONOTONIC. */
__u64 realtime_offset_ns = 0;
/* Set by the user side at the end: to detach takes a while. */
__u32 ended = 0;
/* Set by the user side: calls of some TLS library are traced. */
__u32 tls_traced = 0;

/* slot -> dw_measured_socket. Written here under the socket's lock, and as the user side begins it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* set before load: the number of slots */
	__type(key, __u32);
	__type(value, struct dw_measured_socket);
} measured SEC(".maps");

/*
 * slot -> 1: its measuring is just being begun by someone, on this CPU or
 * another. Full, or taken: that one event is not measured.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u32);
} beginning SEC(".maps");

/*
 * tid -> dw_thread: who reads, and who is the only one that could. Made here
 * with a first read, and by the user side. Full: counted, reads of further
 * threads have no parts.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2048);
	__type(key, __u32);
	__type(value, struct dw_thread);
} threads SEC(".maps");

/* 0 -> what `threads` takes a new one from: too large for the stack. Each CPU has its own. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct dw_thread);
} new_thread SEC(".maps");

/* dw_bucket_key -> dw_bucket. Written here. Full: the sample is counted as missed. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* set before load, by the grouping */
	__type(key, struct dw_bucket_key);
	__type(value, struct dw_bucket);
} buckets SEC(".maps");

/* dw_wait_key -> ns. Written here. Full: the time is counted as missed. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct dw_wait_key);
	__type(value, __u64);
} waits SEC(".maps");

/* The stacks that stack_waits names. Full: a further one is not known. */
struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 1); /* set before load, with --stacks */
	__uint(key_size, sizeof(__u32));
	__uint(value_size, DW_STACK_DEPTH * sizeof(__u64));
} stacks SEC(".maps");

/* dw_stack_key -> ns. Written here, with --stacks. Full: the time is counted as missed. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* set before load, with --stacks */
	__type(key, struct dw_stack_key);
	__type(value, __u64);
} stack_waits SEC(".maps");

/* cookie -> where it is: the sockets that groups are named for. Full: a further one has its cookie. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* set before load, where sockets are the groups */
	__type(key, __u64);
	__type(value, struct dw_socket_name);
} socket_names SEC(".maps");

/*
 * tid -> dw_tls_call: threads that have called a traced TLS library. Written
 * here, in the thread. Full: the thread that was idle longest is forgotten.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 2048);
	__type(key, __u32);
	__type(value, struct dw_tls_call);
} tls_calls SEC(".maps");

/*
 * dw_tls_session_key -> dw_tls_session: made with a first handshake or read of
 * a socket, deleted with the session. Full: the one idle longest is forgotten.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct dw_tls_session_key);
	__type(value, struct dw_tls_session);
} tls_sessions SEC(".maps");

/* dw_profile_counter -> count. Written here, each CPU its own. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DW_PROFILE_COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} missed SEC(".maps");

static __always_inline void count_missed(__u32 what, __u64 how_many)
{
	__u64 *value = bpf_map_lookup_elem(&missed, &what);

	if (value)
		*value += how_many;
}

#endif
