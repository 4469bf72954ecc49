/* SPDX-License-Identifier: GPL-2.0 */
/* Which sockets are watched, and when a slot begins and ends. */
#ifndef DRAINWATCH_WATCH_H
#define DRAINWATCH_WATCH_H

#include "read_socket.h"
#include "drainwatch/tls_phase.h"

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

/* A socket that could not be remembered: looks find it again and again, but it counts once. */
static __always_inline void count_unstored(__u64 address)
{
	__u32 counted = 1;

	any_unstored = 1;
	if (!bpf_map_update_elem(&unstored, &address, &counted, BPF_NOEXIST))
		count(DW_COUNT_STORAGE_FAILED);
}

/* The socket ends: another may have its address. */
static __always_inline void forget_unstored(const struct sock *sk)
{
	__u64 address = (__u64)sk;

	if (any_unstored)
		bpf_map_delete_elem(&unstored, &address);
}

/* Remember this socket, which has no slot yet. What is remembered already stays. */
static __always_inline struct dw_ref *store_ref(struct sock *sk, struct dw_ref *ref)
{
	__u64 address = (__u64)sk;
	struct dw_ref *stored;

	ref->self = address;
	ref->slot = DW_NO_SLOT;
	if (config.sockets_by_address) {
		bpf_map_update_elem(&sockets_by_address, &address, ref, BPF_NOEXIST);
		stored = bpf_map_lookup_elem(&sockets_by_address, &address);
	} else {
		stored = bpf_sk_storage_get(&sockets, sk, ref, BPF_SK_STORAGE_GET_F_CREATE);
	}
	if (!stored)
		count_unstored(address);
	return stored;
}

static __always_inline int is_target(__u32 tgid)
{
	return config.watch_all || bpf_map_lookup_elem(&targets, &tgid);
}

/* The user side is to look at this slot, if it has unread data. */
static __always_inline void call_attention(__u32 slot, struct dw_slot *s)
{
	__u64 *flag;

	if (!s->unread.count || s->unread.noticed)
		return;
	s->unread.noticed = 1;
	dw_in_order();
	flag = bpf_map_lookup_elem(&attention, &slot);
	if (flag)
		*flag = 1;
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
	if (dw_announced_zero(&s->window)) {
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
	dw_fifo_clear(&s->unread);
	read_addresses(s, sk);
	read_limits(s, tp);
	read_window(&s->window, tp);
	s->copied_seq = tp->copied_seq;
	s->data_end = data_end_of(s->window.rcv_nxt, sk->__sk_common.skc_flags);
	s->end_at_open = s->data_end;
	if (s->state == DW_TCP_SYN_RECV)
		s->flags |= DW_SLOT_BORN_HERE;
	s->received_from = s->window.rcv_nxt;
	s->sent_from = tp->snd_nxt;
	/* the hook comes before the state changes; what begins while nothing is taken is not seen */
	if (takes_streams() && (s->state == DW_TCP_SYN_RECV || s->state == DW_TCP_SYN_SENT))
		dw_tls_begin(s);
	else
		dw_tls_begin_late(s);
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
	__sync_fetch_and_add(&slots_free, -1);
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

/* Who is known has a cookie, by which slot_of() tells him from strangers. */
static __always_inline void stay_known(struct sock *sk)
{
	if (!config.sockets_by_address)
		bpf_get_socket_cookie(sk);
}

/* Who seeks a slot for a connection. */
enum dw_seeker {
	DW_SEEKS_LOOK, /* a full look has found it */
	DW_SEEKS_EVENT,
	DW_SEEKS_DATA, /* an event that brings data */
};

static __always_inline int has_unread(const struct tcp_sock *tp, enum dw_seeker seeker)
{
	const struct sock *sk = &tp->inet_conn.icsk_inet.sk;

	return seeker == DW_SEEKS_DATA ||
	       dw_seq_before(tp->copied_seq,
			     data_end_of(tp->rcv_nxt, sk->__sk_common.skc_flags));
}

/* With nothing unread it may have none of the reserve, and of a look none beyond slots_to_give. */
static __always_inline int may_have_slot(const struct tcp_sock *tp, enum dw_seeker seeker)
{
	if (has_unread(tp, seeker))
		return 1;
	return slots_free > slots_reserve && (seeker != DW_SEEKS_LOOK || slots_to_give);
}

/*
 * Give the connection that this is about a slot, if it may have one now; else it
 * is given one when data comes. If none is free for that, the full look tries again.
 */
static __always_inline void find_place(struct tcp_sock *tp, struct dw_ref *ref,
				       enum dw_seeker seeker, int may_have)
{
	__u32 slot = DW_NO_SLOT;
	struct dw_slot *s;
	__u64 cookie = 0;

	ref->self = (__u64)tp;
	ref->slot = DW_NO_SLOT;
	if (may_have)
		slot = open_slot(tp, ref->owner_tgid, &cookie);
	s = bpf_map_lookup_elem(&slots, &slot);
	ref->cookie = cookie;
	if (s) {
		dw_tls_keep_alerts(s, ref->alert_bytes);
		ref->slot = slot;
		enter_index(cookie, slot);
		if (seeker == DW_SEEKS_LOOK && slots_to_give)
			slots_to_give--;
	} else if (may_have && has_unread(tp, seeker) && !ref->turned_away) {
		ref->turned_away = 1;
		count(DW_COUNT_TABLE_FULL);
	}
}

/*
 * The kernel itself moves what comes on a path of Multipath TCP to the connection's own
 * queue, and tells nobody: what lies on the path says nothing about the reader.
 */
static __always_inline int turn_multipath_away(const struct tcp_sock *tp, struct dw_ref *ref)
{
	if (!bpf_core_field_exists(tp->is_mptcp) || !tp->is_mptcp)
		return 0;
	if (!ref->turned_away)
		count(DW_COUNT_MULTIPATH);
	ref->turned_away = 1;
	return 1;
}

/*
 * The same, unless another event or look is just doing so, or has done so. What
 * comes after the socket is known is followed; what came before is unread.
 */
static __always_inline void take_slot(struct tcp_sock *tp, struct dw_ref *ref,
				      enum dw_seeker seeker)
{
	__u64 address = (__u64)tp;
	__u32 claimed = 1;
	int may_have;

	if (turn_multipath_away(tp, ref))
		return;
	stay_known(&tp->inet_conn.icsk_inet.sk);
	may_have = may_have_slot(tp, seeker);
	if (!may_have && ref->self == address)
		return;
	if (bpf_map_update_elem(&claims, &address, &claimed, BPF_NOEXIST))
		return;
	if (ref->self != address || !has_slot(ref))
		find_place(tp, ref, seeker, may_have);
	bpf_map_delete_elem(&claims, &address);
}

/*
 * The watch of the socket with this cookie is over: its slot is free for another. A
 * look and the socket's end may come to it at once: one of them gives it back.
 */
static __always_inline void end_slot(__u32 slot, struct dw_slot *s, __u64 cookie)
{
	__u64 key = slot; /* no address */
	__u32 claimed = 1;

	if (bpf_map_update_elem(&claims, &key, &claimed, BPF_NOEXIST) == -EEXIST)
		return;
	if (s->cookie == cookie && !s->ended_ns) {
		s->ended_ns = bpf_ktime_get_ns();
		dw_fifo_clear(&s->unread);
		if (!bpf_map_push_elem(&free_slots, &slot, 0))
			__sync_fetch_and_add(&slots_free, 1);
	}
	bpf_map_delete_elem(&claims, &key);
}

/* The socket stays known, and takes a slot again when data comes. */
static __always_inline void release_slot(struct dw_ref *ref, struct dw_slot *s)
{
	__u32 slot = ref->slot;

	/* its end may have come meanwhile, and given it back */
	if (slot == DW_NO_SLOT || s->ended_ns || s->cookie != ref->cookie)
		return;
	ref->slot = DW_NO_SLOT;
	ref->alert_bytes = s->tls.alert_bytes;
	end_slot(slot, s, ref->cookie);
}

/* Begin to watch a connection that is not known yet. */
static __always_inline void watch_connection(struct tcp_sock *tp, __u32 owner_tgid,
					     enum dw_seeker seeker)
{
	struct dw_ref fresh = {.owner_tgid = owner_tgid};
	struct dw_ref *ref = store_ref(&tp->inet_conn.icsk_inet.sk, &fresh);

	if (ref && !has_slot(ref))
		take_slot(tp, ref, seeker);
}

/* Begin to watch it if whoever does this is a target. */
static __always_inline void watch_for_current(struct tcp_sock *tp)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;

	if (is_target(tgid) && port_wanted(&tp->inet_conn.icsk_inet.sk))
		watch_connection(tp, tgid, DW_SEEKS_EVENT);
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
static __always_inline void forget_socket(struct sock *sk, const struct dw_ref *ref)
{
	__u32 slot = ref->slot;
	struct dw_slot *s = bpf_map_lookup_elem(&slots, &slot);

	if (s)
		end_slot(slot, s, ref->cookie);
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
		take_slot(tp, ref, DW_SEEKS_EVENT);
	else
		drop_ref(&tp->inet_conn.icsk_inet.sk);
}

/* Its own connect() has succeeded, and the slot that it has just been given says the state before. */
static __always_inline void note_connected(const struct dw_ref *ref)
{
	__u32 slot = ref->slot;
	struct dw_slot *s = bpf_map_lookup_elem(&slots, &slot);

	if (s && s->cookie == ref->cookie && s->state == DW_TCP_SYN_SENT)
		s->state = DW_TCP_ESTABLISHED;
}

/*
 * A connection without a slot is found: its birth was missed, no slot was free
 * then, or it was idle and gave its own back. (The state's hook comes before the
 * state changes, so who is seen as established has had it.)
 */
static __always_inline void adopt_late(struct tcp_sock *tp, struct dw_ref *ref,
				       enum dw_seeker seeker)
{
	const struct sock *sk = &tp->inet_conn.icsk_inet.sk;

	if (dw_carries_data(sk->__sk_common.skc_state) && port_wanted(sk)) {
		ref->listens_on = 0;
		take_slot(tp, ref, seeker);
	}
}

/* What begin_watch() does nothing about, it need not be asked about. */
static __always_inline int may_begin_watch(int newstate)
{
	if (newstate == DW_TCP_LISTEN || newstate == DW_TCP_SYN_SENT)
		return 1;
	return newstate == DW_TCP_ESTABLISHED && (config.watch_all || config.sockets_by_address);
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
		watch_for_current(tp);
	} else if (newstate == DW_TCP_ESTABLISHED) {
		if (config.sockets_by_address && oldstate == DW_TCP_SYN_RECV)
			listener = listener_of(sk);
		if ((config.watch_all || listener) && port_wanted(sk))
			watch_connection(tp, listener ? listener->owner_tgid : 0, DW_SEEKS_EVENT);
	}
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

/* A socket behind a target's descriptor that is not watched yet. */
static __always_inline struct dw_ref *watch_held(struct sock *sk, int listener, __u32 tgid)
{
	struct dw_ref fresh = {.owner_tgid = tgid};

	if (listener)
		watch_listener(sk, tgid);
	else if (config.sockets_by_address)
		store_ref(sk, &fresh);
	else
		watch_connection((struct tcp_sock *)sk, tgid, DW_SEEKS_LOOK);
	return find_ref(sk);
}

#endif
