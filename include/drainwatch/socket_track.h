/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What an arrival or a read changes in a slot. No helpers: compiles natively
 * for its tests. Time is a parameter.
 */
#ifndef DRAINWATCH_SOCKET_TRACK_H
#define DRAINWATCH_SOCKET_TRACK_H

#include "drainwatch/unread_fifo.h"

/* enum of include/net/tcp_states.h, the states that matter here */
#define DW_TCP_ESTABLISHED 1
#define DW_TCP_SYN_SENT 2
#define DW_TCP_SYN_RECV 3
#define DW_TCP_FIN_WAIT1 4
#define DW_TCP_FIN_WAIT2 5
#define DW_TCP_CLOSE 7
#define DW_TCP_CLOSE_WAIT 8
#define DW_TCP_LAST_ACK 9
#define DW_TCP_LISTEN 10
#define DW_TCP_CLOSING 11

/*
 * Identity of a socket to which the kernel has given no cookie, where we cannot
 * make it do so: unique among them, above any cookie that the kernel counts up
 * to, and exact as a double, as JSON has it. Slots are fewer than 2^20.
 */
static inline __u64 dw_own_cookie(__u32 generation, __u32 slot)
{
	return 1ULL << 52 | (__u64)generation << 20 | slot;
}

/* A connection that can have data: it is past its handshake, and not at its end. */
static inline int dw_carries_data(__u8 state)
{
	return state != DW_TCP_CLOSE && state != DW_TCP_LISTEN && state != DW_TCP_SYN_SENT &&
	       state != DW_TCP_SYN_RECV;
}

/* The peer's FIN is in: rcv_nxt counts it, and no more data can come. */
static inline int dw_fin_received(__u8 state)
{
	return state == DW_TCP_CLOSE_WAIT || state == DW_TCP_LAST_ACK || state == DW_TCP_CLOSING;
}

/* Payload bytes that are not read; a FIN is not payload. */
static inline __u32 dw_unread_bytes(const struct dw_slot *s)
{
	__u32 bytes = s->data_end - s->copied_seq;

	return dw_seq_before(s->data_end, s->copied_seq) ? 0 : bytes;
}

/* The last sign of life: something arrived and was read, or the watch began. */
static inline __u64 dw_active_ns(const struct dw_slot *s)
{
	return s->last_read_ns > s->opened_ns ? s->last_read_ns : s->opened_ns;
}

/* Since when the reader owes a read: the oldest unread byte or the last read, whichever is later. */
static inline __u64 dw_silent_since_ns(const struct dw_slot *s)
{
	__u64 oldest = dw_fifo_oldest_ns(&s->unread);

	if (!oldest)
		return 0;
	return oldest > s->last_read_ns ? oldest : s->last_read_ns;
}

/*
 * A read up to copied_seq at this time (in jiffies, low bits) is one of a reader
 * that keeps up: it leaves nothing, and what it took came within one jiffy, two
 * jiffies ago at most. The next silence of this reader begins with the next
 * arrival, so the time of the newest one will do for that of the read. Only the
 * slot is looked at: the socket's own times lie in the cache of another CPU.
 */
static inline int dw_keeps_up(const struct dw_slot *s, __u32 copied_seq, __u32 jiffies,
			      __u64 jiffy_ns)
{
	const struct dw_fifo *unread = &s->unread;

	return unread->count && copied_seq == s->data_end && jiffies - s->arrived_jiffies <= 1 &&
	       dw_fifo_newest_ns(unread) - dw_fifo_oldest_ns(unread) <= jiffy_ns;
}

/* Data up to data_end is more than is known of, and there is no room for it in the FIFO. */
static inline int dw_must_merge(const struct dw_slot *s, __u32 data_end)
{
	return dw_fifo_is_full(&s->unread) && dw_seq_before(s->data_end, data_end);
}

/* What dw_track_arrival() does, for who has merged if dw_must_merge(). */
static inline void dw_append_arrival(struct dw_slot *s, __u32 data_end, __u64 arrived_ns)
{
	if (!dw_seq_before(s->data_end, data_end))
		return;
	s->data_end = data_end;
	if (dw_seq_before(s->copied_seq, data_end))
		dw_fifo_append(&s->unread, data_end, arrived_ns);
}

/* In-order data up to data_end is in the queue, the newest part since arrived_ns. */
static inline void dw_track_arrival(struct dw_slot *s, __u32 data_end, __u64 arrived_ns)
{
	if (dw_must_merge(s, data_end))
		dw_fifo_merge(&s->unread);
	dw_append_arrival(s, data_end, arrived_ns);
}

/* A habit that was not shown again is forgotten after one of these, or two. */
#define DW_HABIT_PERIOD_NS 300000000000LL

/* A period that is over makes room for the next, which begins with this read. */
static inline void dw_fade_habit(struct dw_habit *h, __u64 now_ns)
{
	__s64 age_ns = (__s64)(now_ns - h->since_ns);
	__u32 fresh = age_ns < 2 * DW_HABIT_PERIOD_NS;

	if (age_ns < DW_HABIT_PERIOD_NS)
		return;
	h->longest_gap_ns[1] = fresh ? h->longest_gap_ns[0] : 0;
	h->deepest_bytes[1] = fresh ? h->deepest_bytes[0] : 0;
	h->longest_gap_ns[0] = 0;
	h->deepest_bytes[0] = 0;
	h->since_ns = now_ns;
}

/*
 * Learn from a silence that has ended, and lasted until silent_until_ns at least.
 * One that reached warn_after or closed the window was an incident, and an
 * incident is no habit.
 */
static inline void dw_learn_habit(struct dw_slot *s, __u64 silent_until_ns, __u64 warn_after_ns)
{
	struct dw_habit *h = &s->habit;
	__u64 since = dw_silent_since_ns(s);
	__u64 gap = silent_until_ns > since ? silent_until_ns - since : 0;
	__u32 depth = dw_unread_bytes(s);

	if (!since || gap >= warn_after_ns || (s->flags & DW_SLOT_WAS_CLOSED))
		return;
	if (gap > h->longest_gap_ns[0])
		h->longest_gap_ns[0] = gap;
	if (depth > h->deepest_bytes[0])
		h->deepest_bytes[0] = depth;
}

/*
 * The application has read up to copied_seq. A peek moves nothing and is no read.
 * Who sees each read gives its time twice; who looks now and then gives the
 * latest time at which there had been none yet as silent_until_ns.
 */
static inline void dw_track_read(struct dw_slot *s, __u32 copied_seq, __u64 now_ns,
				 __u64 silent_until_ns, __u64 warn_after_ns)
{
	if (!dw_seq_before(s->copied_seq, copied_seq))
		return;
	dw_fade_habit(&s->habit, now_ns);
	dw_learn_habit(s, silent_until_ns, warn_after_ns);
	s->copied_seq = copied_seq;
	dw_fifo_pop(&s->unread, copied_seq);
	s->last_read_ns = now_ns;
	if ((s->flags & DW_SLOT_LOWER_BOUND) && !dw_seq_before(copied_seq, s->end_at_open))
		s->flags &= (__u8)~DW_SLOT_LOWER_BOUND;
	if ((s->flags & DW_SLOT_WAS_CLOSED) && !(s->flags & DW_SLOT_CLOSED))
		s->flags &= (__u8)~DW_SLOT_WAS_CLOSED;
}

/* What comes before is read or written first; of the compiler, for x86 keeps this order itself. */
#define dw_in_order() __asm__ volatile("" ::: "memory")

/*
 * Is the window announced closed after an open one, or open after a closed one?
 * *zeros is for dw_turn_window().
 */
static inline int dw_window_turned(const struct dw_slot *s, int closed, __u32 *zeros)
{
	*zeros = s->zero_count;
	dw_in_order();
	return closed != !!(s->flags & DW_SLOT_CLOSED);
}

/*
 * It is: now the slot says so. The same announcement may be seen on its way out
 * and by a look on another CPU, at the same time: it counts once. 0 for whoever
 * comes second.
 */
static inline int dw_turn_window(struct dw_slot *s, int closed, __u32 zeros)
{
	if (!closed) {
		if (!(s->flags & DW_SLOT_CLOSED))
			return 0;
		s->flags &= (__u8)~DW_SLOT_CLOSED;
		return 1;
	}
	if (s->zero_count != zeros)
		return 0;
	s->flags |= DW_SLOT_CLOSED | DW_SLOT_WAS_CLOSED;
	dw_in_order();
	s->zero_count = zeros + 1;
	return 1;
}

/*
 * Two CPUs may have crossed, one of them without the socket's lock: what is
 * unread has an age all the same.
 */
static inline void dw_track_repair(struct dw_slot *s, __u64 arrived_ns)
{
	if (!s->unread.count && dw_unread_bytes(s))
		dw_fifo_append(&s->unread, s->data_end, arrived_ns);
}

/*
 * How full the socket is, by window or by memory, whichever is worse: 0 below
 * 1/16, then 1 to 5 at 1/16, 1/8, 1/4, 1/2, 3/4, and 6 when the peer cannot
 * send a full segment any more.
 */
static inline __u8 dw_fill_level(__u64 used, __u64 capacity)
{
	if (4 * used >= 3 * capacity)
		return 5;
	if (2 * used >= capacity)
		return 4;
	if (4 * used >= capacity)
		return 3;
	if (8 * used >= capacity)
		return 2;
	return 16 * used >= capacity;
}

static inline __u8 dw_danger_level(const struct dw_slot *s)
{
	const struct dw_window *w = &s->window;
	__u32 unread = dw_unread_bytes(s);
	__u32 current = dw_window_current(w);
	__u8 by_window, by_memory;

	if (!unread)
		return 0;
	if (current < w->rcv_mss)
		return 6;
	by_window = dw_fill_level(unread, (__u64)unread + current);
	by_memory = dw_fill_level(w->rmem > 0 ? (__u64)w->rmem : 0,
				  w->rcvbuf > 0 ? (__u64)w->rcvbuf : 1);
	return by_window > by_memory ? by_window : by_memory;
}

#endif
