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

static __always_inline __u32 data_end_of(__u32 rcv_nxt, __u8 state)
{
	return dw_fin_received(state) ? rcv_nxt - 1 : rcv_nxt;
}

#endif
