/* SPDX-License-Identifier: GPL-2.0 */
/* What the kernel's socket says of the segment that came last. */
#ifndef DRAINWATCH_SEGMENT_H
#define DRAINWATCH_SEGMENT_H

#include "kernel_types.h"
#include "drainwatch/socket_track.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

/* When the last segment came: the kernel's own stamp, free of charge, where it has one. */
static __always_inline __u64 segment_time_ns(const struct tcp_sock *tp)
{
	if (bpf_core_field_exists(tp->tcp_clock_cache) && tp->tcp_clock_cache)
		return tp->tcp_clock_cache;
	return bpf_ktime_get_ns();
}

/*
 * How far its data goes. The state will not do: a FIN that is the last word of both
 * sides is acknowledged before the state says so (tcp_fin(), net/ipv4/tcp_input.c).
 */
static __always_inline __u32 data_end_of(__u32 rcv_nxt, unsigned long sock_flags)
{
	return sock_flags & (1UL << SOCK_DONE) ? rcv_nxt - 1 : rcv_nxt;
}

#endif
