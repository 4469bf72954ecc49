/* SPDX-License-Identifier: GPL-2.0 */
/* How a slot follows its socket, and what of it is told at once. */
#ifndef DRAINWATCH_FOLLOW_H
#define DRAINWATCH_FOLLOW_H

#include "watch.h"

/* Is this the socket that the slot was opened for? An address may have been recycled unseen. */
static __always_inline int belongs_to(const struct dw_slot *s, const struct dw_ref *ref,
				      const struct sock *sk)
{
	return s->cookie == ref->cookie &&
	       s->remote_port == bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport)) &&
	       s->netns == netns_of(sk);
}

/* Seldom changes, and shares its cache line with what readers of the slot look at. */
static __always_inline void note_rcvlowat(struct dw_slot *s, __u32 rcvlowat)
{
	if (s->rcvlowat != rcvlowat)
		s->rcvlowat = rcvlowat;
}

/* A global function: the verifier follows it once, not with each turn of the loop. */
__noinline __u32 merge_arrival(__u32 slot, __u32 i, __u32 count)
{
	struct dw_slot *s = bpf_map_lookup_elem(&slots, &slot);

	return s ? dw_fifo_merge_step(&s->unread, i, count) : count;
}

/* dw_fifo_merge() */
static __always_inline void merge_arrivals(__u32 slot, struct dw_slot *s)
{
	__u32 count = 1;

	for (__u32 i = 1; i < DW_FIFO_LEN; i++)
		count = merge_arrival(slot, i, count);
	s->unread.count = count;
}

/* Make room for an arrival. */
static __always_inline void merge_if_full(__u32 slot, struct dw_slot *s, __u32 data_end)
{
	if (dw_must_merge(s, data_end))
		merge_arrivals(slot, s);
}

/* Copy what the socket holds now, once, for it may not be locked; returns how far its data goes. */
static __always_inline __u32 copy_state(struct dw_slot *s, const struct tcp_sock *tp)
{
	const struct sock *sk = &tp->inet_conn.icsk_inet.sk;

	note_rcvlowat(s, sk->sk_rcvlowat);
	read_window(&s->window, tp);
	return data_end_of(s->window.rcv_nxt, sk->__sk_common.skc_flags);
}

/* A segment came at arrived_ns: copy what the socket holds now. */
static __always_inline void track_segment(__u32 slot, struct dw_slot *s, const struct tcp_sock *tp,
					  __u64 arrived_ns)
{
	__u32 data_end;

	if (tp->inet_conn.icsk_inet.sk.__sk_common.skc_state == DW_TCP_CLOSE)
		return;
	data_end = copy_state(s, tp);
	merge_if_full(slot, s, data_end);
	dw_append_arrival(s, data_end, arrived_ns);
	call_attention(slot, s);
}

/* The same for a plain arrival, with no room to be made. */
static __always_inline void track_plain_arrival(__u32 slot, struct dw_slot *s,
						const struct tcp_sock *tp, __u64 arrived_ns)
{
	dw_append_arrival(s, copy_state(s, tp), arrived_ns);
	call_attention(slot, s);
}

/*
 * The same as a segment leaves, where no hook tells of arrivals: a data segment
 * is acknowledged in 40 to 200 ms, under the socket's lock. tcp_clock_cache holds
 * the time of the ACK by then. The socket is not trusted.
 */
static __always_inline void track_acknowledged(__u32 slot, struct dw_slot *s, const struct sock *sk,
					       __u64 now_ns)
{
	__u32 data_end;

	if (BPF_CORE_READ(sk, __sk_common.skc_state) == DW_TCP_CLOSE)
		return;
	note_rcvlowat(s, BPF_CORE_READ(sk, sk_rcvlowat));
	probe_window(&s->window, sk);
	data_end = data_end_of(s->window.rcv_nxt, BPF_CORE_READ(sk, __sk_common.skc_flags));
	merge_if_full(slot, s, data_end);
	dw_append_arrival(s, data_end, last_arrival_ns(sk, now_ns));
	call_attention(slot, s);
}

/* Has anything come in that no hook told of? The socket is not trusted. */
static __always_inline int acknowledges_more(const struct dw_slot *s, const struct sock *sk)
{
	const struct tcp_sock *tp = (const struct tcp_sock *)sk;

	return BPF_CORE_READ(tp, rcv_nxt) != s->window.rcv_nxt;
}

/* When the read that is under way happened. The clock is what costs most here. */
static __always_inline __u64 read_time_ns(const struct dw_slot *s, __u32 copied_seq)
{
	if (dw_keeps_up(s, copied_seq, (__u32)bpf_jiffies64(), config.jiffy_ns))
		return dw_fifo_newest_ns(&s->unread);
	return bpf_ktime_get_ns();
}

/* Did the application read? Then it did so now, and `current` is the reader if by_current. */
static __always_inline void track_progress(struct dw_slot *s, const struct tcp_sock *tp,
					   int by_current)
{
	__u32 copied_seq = tp->copied_seq;
	__u64 read_ns, id;

	if (copied_seq == s->copied_seq)
		return;
	read_ns = read_time_ns(s, copied_seq);
	dw_track_read(s, copied_seq, read_ns, read_ns, config.warn_after_ns);
	if (by_current) {
		id = bpf_get_current_pid_tgid();
		s->reader_tgid = id >> 32;
		s->reader_tid = (__u32)id;
	}
}

static __always_inline void send_socket_record(__u32 kind, __u32 slot, const struct dw_slot *s,
					       __u64 at_ns, __u32 value, __u32 pid)
{
	struct dw_record record = {
		.kind = kind,
		.slot = slot,
		.cookie = s->cookie,
		.at_ns = at_ns,
		.value = value,
		.pid = pid,
	};

	send_record(&record);
}

/*
 * Both sides have said their last word, and all that the peer has sent is there: it
 * may be read as before, though the kernel says TCP_CLOSE.
 */
static __always_inline int ended_in_order(const struct sock *sk)
{
	return sk->__sk_common.skc_flags & (1UL << SOCK_DONE) && !sk->sk_err;
}

/* No reader can help any more. */
static __always_inline void give_up_unread(struct dw_slot *s)
{
	dw_fifo_clear(&s->unread);
	s->state = DW_TCP_CLOSE;
}

/* The connection is at its end. What was reset has been told. */
static __always_inline void follow_end(__u32 slot, struct dw_slot *s, const struct tcp_sock *tp)
{
	const struct sock *sk = &tp->inet_conn.icsk_inet.sk;

	if (ended_in_order(sk)) {
		/* which its last segment may do, with its last bytes */
		track_segment(slot, s, tp, segment_time_ns(tp));
		s->state = DW_TCP_CLOSE;
		return;
	}
	give_up_unread(s);
	if (sk->sk_err && dw_unread_bytes(s) && !(s->flags & DW_SLOT_RESET))
		send_socket_record(DW_REC_BROKEN, slot, s, bpf_ktime_get_ns(), sk->sk_err, 0);
}

/* A watched socket changes its state. */
static __always_inline void follow_state(__u32 slot, struct tcp_sock *tp, int newstate)
{
	struct dw_slot *s = bpf_map_lookup_elem(&slots, &slot);

	if (!s)
		return;
	if (newstate == DW_TCP_CLOSE) {
		follow_end(slot, s, tp);
		return;
	}
	/* a connect() has learned its addresses and window scale */
	if (newstate == DW_TCP_ESTABLISHED)
		start_tracking(slot, s, tp);
	s->state = newstate;
}

/* A reset came, or was sent. */
static __always_inline void tell_of_reset(__u32 kind, __u32 slot, struct dw_slot *s, __u32 pid)
{
	s->flags |= DW_SLOT_RESET;
	give_up_unread(s);
	send_socket_record(kind, slot, s, bpf_ktime_get_ns(), dw_unread_bytes(s), pid);
}

/* A connection has just been established. */
static __always_inline void tell_of_connection(struct sock *sk)
{
	struct dw_slot *s;
	__u32 slot;

	s = slot_of(sk, &slot);
	if (s)
		send_socket_record(DW_REC_CONNECTED, slot, s, bpf_ktime_get_ns(), 0, 0);
}

/*
 * Tell of a window that closed or opened; *last_ns is when it last did so. One
 * that flutters is told of now and then: the slot has the count.
 */
static __always_inline void announce_window(__u32 kind, __u32 slot, const struct dw_slot *s,
					    __u64 *last_ns, __u64 now_ns)
{
	__u64 before_ns = *last_ns;

	*last_ns = now_ns;
	if (now_ns - before_ns >= config.danger_interval_ns)
		send_socket_record(kind, slot, s, now_ns, s->zero_count, 0);
}

/*
 * The window was announced closed at at_ns, after an open one; or open, after a
 * closed one. Two looks may come here at once: the flag is set with the time.
 */
static __always_inline void turn_window(__u32 slot, struct dw_slot *s, int closed, __u32 zeros,
					__u64 at_ns, int estimated)
{
	if (!dw_turn_window(s, closed, zeros))
		return;
	if (estimated)
		s->flags |= DW_SLOT_TURN_ESTIMATED;
	else
		s->flags &= (__u8)~DW_SLOT_TURN_ESTIMATED;
	if (closed)
		announce_window(DW_REC_ZERO, slot, s, &s->zero_ns, at_ns);
	else
		announce_window(DW_REC_REOPENED, slot, s, &s->reopened_ns, at_ns);
}

/*
 * An announcement that net_dev_queue did not see. The kernel's stamp is that of
 * the segment that made it, as long as no later one came; if it is not later than
 * what net_dev_queue saw, the two looks have crossed.
 */
static __always_inline void heal_announcement(__u32 slot, struct dw_slot *s,
					      const struct tcp_sock *tp)
{
	int closed = dw_announced_zero(&s->window);
	__u64 at_ns = segment_time_ns(tp);
	__u32 zeros;

	if (!dw_window_turned(s, closed, &zeros) ||
	    !dw_carries_data(tp->inet_conn.icsk_inet.sk.__sk_common.skc_state))
		return;
	if (at_ns > s->zero_ns && at_ns > s->reopened_ns)
		turn_window(slot, s, closed, zeros, at_ns, 1);
}

/* No older than what the user side need not be woken for. */
static __always_inline int is_young(__u64 oldest_ns, __u64 now_ns)
{
	return !oldest_ns || now_ns - oldest_ns < config.danger_age_ns;
}

/* Wake the user side when an ageing queue has filled by another step. */
static __always_inline void announce_danger(__u32 slot, struct dw_slot *s, __u64 now_ns)
{
	__u64 oldest = dw_fifo_oldest_ns(&s->unread);
	__u32 level;

	if (is_young(oldest, now_ns)) {
		if (s->danger)
			s->danger = 0;
		return;
	}
	level = dw_danger_level(s);
	if (level <= s->danger) {
		s->danger = level;
		return;
	}
	if (now_ns - danger_woken_ns < config.danger_interval_ns)
		return;
	danger_woken_ns = now_ns;
	s->danger = level;
	send_socket_record(DW_REC_DANGER, slot, s, now_ns, level, 0);
}

/* Data came, and all there is to do is to follow it: what was read is known, and nobody is told. */
static __always_inline int is_plain_arrival(const struct dw_slot *s, const struct tcp_sock *tp,
					    __u64 now_ns)
{
	return tp->copied_seq == s->copied_seq && !dw_fifo_is_full(&s->unread) &&
	       is_young(dw_fifo_oldest_ns(&s->unread), now_ns) && !s->danger &&
	       tp->inet_conn.icsk_inet.sk.__sk_common.skc_state != DW_TCP_CLOSE;
}

/* Data has come, or is about to, to a watched connection that has no slot. */
static __always_inline void follow_again(struct sock *sk, enum dw_seeker seeker)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct dw_ref *ref = find_ref(sk);

	if (tp && ref)
		adopt_late(tp, ref, seeker);
}

/* Nothing of it needs to be followed now. */
static __always_inline int may_release(const struct dw_slot *s)
{
	int is_closed = s->flags & DW_SLOT_CLOSED && s->state != DW_TCP_CLOSE;

	return !s->unread.count && !is_closed && dw_active_ns(s) < idle_before_ns;
}

/* The socket is at its end, and its descriptor may stay open for ever. */
static __always_inline void release_dead(struct dw_ref *ref)
{
	__u32 slot = ref->slot;
	struct dw_slot *s = bpf_map_lookup_elem(&slots, &slot);

	if (s && s->cookie == ref->cookie && may_release(s))
		release_slot(ref, s);
}

/*
 * A slot that missed an event takes its socket's counters again. The socket may
 * not be locked; what is written twice is mended by the next look.
 */
static __always_inline void heal_socket(struct tcp_sock *tp, struct dw_ref *ref)
{
	struct sock *sk = &tp->inet_conn.icsk_inet.sk;
	__u32 slot = ref->slot;
	struct dw_slot *s;

	if (ref->self != (__u64)sk || slot == DW_NO_SLOT) {
		if (releases_all)
			ref->listens_on = 0;
		else
			adopt_late(tp, ref, DW_SEEKS_LOOK);
		return;
	}
	s = bpf_map_lookup_elem(&slots, &slot);
	if (!s)
		return;
	if (releases_all) {
		release_slot(ref, s);
		return;
	}
	if (!belongs_to(s, ref, sk)) {
		/* storage ends with its socket; and its iterator holds a lock, in old kernels */
		if (config.sockets_by_address)
			forget_socket(sk, ref);
		else if (s->cookie != ref->cookie)
			ref->slot = DW_NO_SLOT;
		return;
	}
	if (sk->__sk_common.skc_state == DW_TCP_CLOSE) {
		track_progress(s, tp, 0);
		read_window(&s->window, tp);
		release_dead(ref);
		return;
	}
	/* nobody saw its connect() succeed: its numbers are those of before */
	if (s->state == DW_TCP_SYN_SENT && sk->__sk_common.skc_state != DW_TCP_SYN_SENT)
		start_tracking(slot, s, tp);
	read_limits(s, tp);
	s->unread.noticed = 0;
	track_progress(s, tp, 0);
	track_segment(slot, s, tp, segment_time_ns(tp));
	dw_track_repair(s, segment_time_ns(tp));
	heal_announcement(slot, s, tp);
	if (may_release(s))
		release_slot(ref, s);
	else
		call_attention(slot, s);
}

#endif
