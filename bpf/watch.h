/* SPDX-License-Identifier: GPL-2.0 */
/* Which sockets are watched, and how a slot follows its socket. */
#ifndef DRAINWATCH_WATCH_H
#define DRAINWATCH_WATCH_H

#include "listeners.h"
#include "drainwatch/socket_track.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

/* Does a --port ask for this socket? */
static __always_inline int port_wanted(const struct sock *sk)
{
	__u16 local = BPF_CORE_READ(sk, __sk_common.skc_num);
	__u16 remote = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));

	if (!config.ports)
		return 1;
	for (int i = 0; i < DW_MAX_PORTS; i++) {
		if (i >= config.ports)
			break;
		if (config.port[i] == local || config.port[i] == remote)
			return 1;
	}
	return 0;
}

static __always_inline int is_target(__u32 tgid)
{
	return config.watch_all || bpf_map_lookup_elem(&targets, &tgid);
}

/* What may change with every segment: plain loads. */
static __always_inline void read_window(struct dw_window *w, const struct tcp_sock *tp)
{
	const struct sock *sk = &tp->inet_conn.icsk_inet.sk;

	w->rcv_nxt = tp->rcv_nxt;
	w->rcv_wup = tp->rcv_wup;
	w->rcv_wnd = tp->rcv_wnd;
	w->window_clamp = tp->window_clamp;
	w->rcv_ssthresh = tp->rcv_ssthresh;
	w->rcvbuf = sk->sk_rcvbuf;
	w->rmem = sk->sk_backlog.rmem_alloc.counter;
	w->backlog = sk->sk_backlog.len;
	w->rcv_mss = tp->inet_conn.icsk_ack.rcv_mss;
	if (bpf_core_field_exists(tp->scaling_ratio))
		w->scaling_ratio = tp->scaling_ratio;
	w->urgent = tp->urg_data && tp->urg_seq == tp->copied_seq;
}

/* The same, for a socket that the verifier does not trust. */
static __always_inline void probe_window(struct dw_window *w, const struct sock *sk)
{
	const struct tcp_sock *tp = (const struct tcp_sock *)sk;

	w->rcv_nxt = BPF_CORE_READ(tp, rcv_nxt);
	w->rcv_wup = BPF_CORE_READ(tp, rcv_wup);
	w->rcv_wnd = BPF_CORE_READ(tp, rcv_wnd);
	w->window_clamp = BPF_CORE_READ(tp, window_clamp);
	w->rcv_ssthresh = BPF_CORE_READ(tp, rcv_ssthresh);
	w->rcvbuf = BPF_CORE_READ(sk, sk_rcvbuf);
	w->rmem = BPF_CORE_READ(sk, sk_backlog.rmem_alloc.counter);
	w->backlog = BPF_CORE_READ(sk, sk_backlog.len);
	w->rcv_mss = BPF_CORE_READ(tp, inet_conn.icsk_ack.rcv_mss);
	if (bpf_core_field_exists(tp->scaling_ratio))
		w->scaling_ratio = BPF_CORE_READ(tp, scaling_ratio);
	w->urgent = BPF_CORE_READ(tp, urg_data) &&
		    BPF_CORE_READ(tp, urg_seq) == BPF_CORE_READ(tp, copied_seq);
}

/* What changes by a system call or a sysctl: read when the watch begins and at every full look. */
static __always_inline void read_limits(struct dw_slot *s, const struct tcp_sock *tp)
{
	const struct sock *sk = &tp->inet_conn.icsk_inet.sk;
	struct dw_window *w = &s->window;
	struct net *net = BPF_CORE_READ(sk, __sk_common.skc_net.net);
	__u8 flags = 0;

	w->rcv_wscale = BPF_CORE_READ_BITFIELD_PROBED(tp, rx_opt.rcv_wscale);
	if (BPF_CORE_READ_BITFIELD_PROBED(sk, sk_userlocks) & SOCK_RCVBUF_LOCK)
		flags |= DW_RCVBUF_LOCKED;
	if (bpf_core_field_exists(tp->scaling_ratio))
		flags |= DW_SCALING_RATIO;
	if (bpf_core_field_exists(net->ipv4.sysctl_tcp_shrink_window) &&
	    BPF_CORE_READ(net, ipv4.sysctl_tcp_shrink_window))
		flags |= DW_SHRINK_WINDOW;
	w->rmem_max = BPF_CORE_READ(net, ipv4.sysctl_tcp_rmem[2]);
	w->adv_win_scale = BPF_CORE_READ(net, ipv4.sysctl_tcp_adv_win_scale);
	w->flags = flags;
	s->rcvlowat = BPF_CORE_READ(sk, sk_rcvlowat);
}

static __always_inline void read_addresses(struct dw_slot *s, const struct sock *sk)
{
	s->netns = netns_of(sk);
	s->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	s->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	s->remote_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (s->family == AF_INET6) {
		BPF_CORE_READ_INTO(&s->local, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8);
		BPF_CORE_READ_INTO(&s->remote, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr8);
	} else {
		*(__u32 *)s->local = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
		*(__u32 *)s->remote = BPF_CORE_READ(sk, __sk_common.skc_daddr);
	}
}

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

/* The user side is to look at this slot, if it has unread data. */
static __always_inline void call_attention(__u32 slot, const struct dw_slot *s)
{
	__u64 *flag;

	if (!s->unread.count)
		return;
	flag = bpf_map_lookup_elem(&attention, &slot);
	if (flag && !*flag)
		*flag = 1;
}

/* When the last data segment came, to a jiffy; now_ns if that is not known. */
static __always_inline __u64 last_arrival_ns(const struct sock *sk, __u64 now_ns)
{
	const struct tcp_sock *tp = (const struct tcp_sock *)sk;
	__u32 lrcvtime = BPF_CORE_READ(tp, inet_conn.icsk_ack.lrcvtime);
	__u64 age_ns = (__u64)((__u32)bpf_jiffies64() - lrcvtime) * config.jiffy_ns;

	return lrcvtime && age_ns < now_ns ? now_ns - age_ns : now_ns;
}

/* Unread data that was there before the watch: it arrived no later than the last data segment did.
 */
static __always_inline void track_earlier_data(struct dw_slot *s, const struct tcp_sock *tp)
{
	const struct sock *sk = &tp->inet_conn.icsk_inet.sk;

	if (!dw_seq_before(s->copied_seq, s->data_end))
		return;
	dw_fifo_append(&s->unread, s->data_end, last_arrival_ns(sk, bpf_ktime_get_ns()));
	s->flags |= DW_SLOT_LOWER_BOUND;
	if (!s->window.rcv_wnd) {
		s->flags |= DW_SLOT_CLOSED | DW_SLOT_WAS_CLOSED;
		s->zero_count = 1;
	}
}

/* The connection begins, or is seen for the first time: nothing of an earlier life counts. */
static __always_inline void start_tracking(__u32 slot, struct dw_slot *s, const struct tcp_sock *tp)
{
	const struct sock *sk = &tp->inet_conn.icsk_inet.sk;

	s->state = sk->__sk_common.skc_state;
	s->flags = 0;
	s->danger = 0;
	s->last_read_ns = 0;
	__builtin_memset(&s->habit, 0, sizeof(s->habit));
	s->habit.period = habit_period;
	dw_fifo_clear(&s->unread);
	read_addresses(s, sk);
	read_limits(s, tp);
	read_window(&s->window, tp);
	s->copied_seq = tp->copied_seq;
	s->data_end = data_end_of(s->window.rcv_nxt, s->state);
	s->end_at_open = s->data_end;
	track_earlier_data(s, tp);
	call_attention(slot, s);
}

/* Take a free slot for the socket and fill it; DW_NO_SLOT if there is none. */
static __always_inline __u32 open_slot(struct tcp_sock *tp, __u32 owner_tgid, __u64 *cookie)
{
	__u32 slot, generation;
	struct dw_slot *s;

	if (bpf_map_pop_elem(&free_slots, &slot))
		return DW_NO_SLOT;
	s = bpf_map_lookup_elem(&slots, &slot);
	if (!s)
		return DW_NO_SLOT;
	generation = s->generation + 1;
	*cookie = cookie_of(&tp->inet_conn.icsk_inet.sk, generation, slot);
	__builtin_memset(s, 0, sizeof(*s));
	s->generation = generation;
	s->opened_ns = bpf_ktime_get_ns();
	s->owner_tgid = owner_tgid;
	s->cookie = *cookie;
	start_tracking(slot, s, tp);
	if (slot >= slots_used)
		slots_used = slot + 1;
	return slot;
}

/* Give the connection that this is about a slot; the full look tries again if none is free. */
static __always_inline void take_slot(struct tcp_sock *tp, struct dw_ref *ref)
{
	__u64 cookie = 0;

	ref->self = (__u64)tp;
	ref->slot = open_slot(tp, ref->owner_tgid, &cookie);
	ref->cookie = cookie;
	if (ref->slot == DW_NO_SLOT && !ref->turned_away) {
		ref->turned_away = 1;
		count(DW_COUNT_TABLE_FULL);
	}
}

/* The watch of this socket is over: its slot is free for another. */
static __always_inline void end_slot(__u32 slot, struct dw_slot *s, __u64 now_ns)
{
	s->ended_ns = now_ns;
	dw_fifo_clear(&s->unread);
	bpf_map_push_elem(&free_slots, &slot, 0);
}

/* Begin to watch a connection that is not known yet. */
static __always_inline void watch_connection(struct tcp_sock *tp, __u32 owner_tgid)
{
	struct dw_ref fresh = {.owner_tgid = owner_tgid};
	struct dw_ref *ref = store_ref(&tp->inet_conn.icsk_inet.sk, &fresh);

	if (ref && ref->slot == DW_NO_SLOT)
		take_slot(tp, ref);
}

/* A listener has no queue of its own, only children that take after it. */
static __always_inline void watch_listener(struct sock *sk, __u32 owner_tgid)
{
	struct dw_ref fresh = {.owner_tgid = owner_tgid,
			       .listens_on = BPF_CORE_READ(sk, __sk_common.skc_num)};

	if (store_ref(sk, &fresh))
		enter_listener(sk, owner_tgid);
}

/* Forget the socket; what is known of it ends with it, or was left over from an earlier one. */
static __always_inline void forget_socket(struct sock *sk, const struct dw_ref *ref, __u64 now_ns)
{
	__u32 slot = ref->slot;
	struct dw_slot *s = bpf_map_lookup_elem(&slots, &slot);

	if (s && s->cookie == ref->cookie)
		end_slot(slot, s, now_ns);
	if (ref->listens_on)
		leave_listener(sk, ref->listens_on);
	drop_ref(sk);
}

/*
 * A connection that was born with its listener's storage, or that found no slot
 * when it was first seen, gets one of its own.
 */
static __always_inline void adopt(struct tcp_sock *tp, struct dw_ref *ref)
{
	ref->listens_on = 0;
	if (port_wanted(&tp->inet_conn.icsk_inet.sk))
		take_slot(tp, ref);
	else
		drop_ref(&tp->inet_conn.icsk_inet.sk);
}

/*
 * The full look finds a connection without a slot: its birth was missed, or no
 * slot was free then. (The state's hook comes before the state changes, so who
 * is seen as established has had it.)
 */
static __always_inline void adopt_late(struct tcp_sock *tp, struct dw_ref *ref)
{
	const struct sock *sk = &tp->inet_conn.icsk_inet.sk;

	if (dw_carries_data(sk->__sk_common.skc_state) && port_wanted(sk)) {
		ref->listens_on = 0;
		take_slot(tp, ref);
	}
}

/*
 * A socket that is not watched changes its state: watch it if a target connects
 * or listens. A listener is watched whatever its port, for the sake of --port
 * with the ports of its peers. With --all, any established connection will do;
 * and by address, one that came to a watched listener.
 */
static __always_inline void begin_watch(struct tcp_sock *tp, int oldstate, int newstate)
{
	struct sock *sk = &tp->inet_conn.icsk_inet.sk;
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct dw_listener *listener = NULL;

	if (newstate == DW_TCP_LISTEN) {
		if (is_target(tgid))
			watch_listener(sk, tgid);
	} else if (newstate == DW_TCP_SYN_SENT) {
		if (is_target(tgid) && port_wanted(sk))
			watch_connection(tp, tgid);
	} else if (newstate == DW_TCP_ESTABLISHED) {
		if (config.sockets_by_address && oldstate == DW_TCP_SYN_RECV)
			listener = listener_of(sk);
		if ((config.watch_all || listener) && port_wanted(sk))
			watch_connection(tp, listener ? listener->owner_tgid : 0);
	}
}

/* A watched socket changes its state. */
static __always_inline void follow_state(__u32 slot, struct tcp_sock *tp, int newstate)
{
	struct dw_slot *s = bpf_map_lookup_elem(&slots, &slot);

	if (!s)
		return;
	if (newstate == DW_TCP_ESTABLISHED) {
		/* a connect() has learned its addresses and window scale */
		start_tracking(slot, s, tp);
	} else if (newstate == DW_TCP_CLOSE) {
		/* no reader can help any more */
		dw_fifo_clear(&s->unread);
	}
	s->state = newstate;
}

/*
 * By address: a socket begins, and what is known under its address is left over
 * from an earlier one, or from an earlier life of the same. A connection that
 * became established from both ends at once has been followed to here.
 */
static __always_inline int is_left_over(const struct dw_ref *ref, int oldstate, int newstate)
{
	__u32 slot = ref->slot;
	struct dw_slot *s;

	if (newstate == DW_TCP_SYN_SENT || newstate == DW_TCP_LISTEN)
		return 1;
	if (newstate == DW_TCP_SYN_RECV)
		return oldstate == DW_TCP_LISTEN;
	if (newstate != DW_TCP_ESTABLISHED || oldstate != DW_TCP_SYN_RECV)
		return 0;
	s = bpf_map_lookup_elem(&slots, &slot);
	return !s || s->state != DW_TCP_SYN_RECV;
}

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

/* Copy what the socket holds now; data that is new arrived at arrived_ns. */
static __always_inline void track_segment(__u32 slot, struct dw_slot *s, const struct tcp_sock *tp,
					  __u64 arrived_ns)
{
	const struct sock *sk = &tp->inet_conn.icsk_inet.sk;
	__u8 state = sk->__sk_common.skc_state;

	if (state == DW_TCP_CLOSE)
		return;
	note_rcvlowat(s, sk->sk_rcvlowat);
	read_window(&s->window, tp);
	dw_track_arrival(s, data_end_of(s->window.rcv_nxt, state), arrived_ns);
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
	__u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);

	if (state == DW_TCP_CLOSE)
		return;
	note_rcvlowat(s, BPF_CORE_READ(sk, sk_rcvlowat));
	probe_window(&s->window, sk);
	dw_track_arrival(s, data_end_of(s->window.rcv_nxt, state), last_arrival_ns(sk, now_ns));
	call_attention(slot, s);
}

/* Has anything come in that no hook told of? The socket is not trusted. */
static __always_inline int acknowledges_more(const struct dw_slot *s, const struct sock *sk)
{
	const struct tcp_sock *tp = (const struct tcp_sock *)sk;

	return BPF_CORE_READ(tp, rcv_nxt) != s->window.rcv_nxt;
}

/* Did the application read? Then it did so now, and `current` is the reader if by_current. */
static __always_inline void track_progress(struct dw_slot *s, const struct tcp_sock *tp,
					   int by_current)
{
	__u32 copied_seq = tp->copied_seq;
	__u64 id;

	if (copied_seq == s->copied_seq)
		return;
	dw_track_read(s, copied_seq, bpf_ktime_get_ns(), habit_period, config.warn_after_ns);
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

/* Wake the user side when an ageing queue has filled by another step. */
static __always_inline void announce_danger(__u32 slot, struct dw_slot *s, __u64 now_ns)
{
	__u32 level = dw_danger_level(s);
	__u64 oldest = dw_fifo_oldest_ns(&s->unread);

	if (level <= s->danger) {
		s->danger = level;
		return;
	}
	if (now_ns - oldest < config.danger_age_ns)
		return;
	if (now_ns - danger_woken_ns < config.danger_interval_ns)
		return;
	danger_woken_ns = now_ns;
	s->danger = level;
	send_socket_record(DW_REC_DANGER, slot, s, now_ns, level, 0);
}

/* A socket behind a target's descriptor that is not watched yet. */
static __always_inline struct dw_ref *watch_held(struct sock *sk, int listener, __u32 tgid)
{
	struct dw_ref fresh = {.owner_tgid = tgid};

	if (listener)
		watch_listener(sk, tgid);
	else if (config.sockets_by_address)
		store_ref(sk, &fresh);
	else
		watch_connection((struct tcp_sock *)sk, tgid);
	return find_ref(sk);
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
		adopt_late(tp, ref);
		return;
	}
	s = bpf_map_lookup_elem(&slots, &slot);
	if (!s)
		return;
	if (!belongs_to(s, ref, sk)) {
		/* storage ends with its socket; and its iterator holds a lock, in old kernels */
		if (config.sockets_by_address)
			forget_socket(sk, ref, bpf_ktime_get_ns());
		return;
	}
	read_limits(s, tp);
	track_progress(s, tp, 0);
	track_segment(slot, s, tp, segment_time_ns(tp));
	dw_track_repair(s, segment_time_ns(tp));
	call_attention(slot, s);
}

#endif
