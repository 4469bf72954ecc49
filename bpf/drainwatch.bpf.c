// SPDX-License-Identifier: GPL-2.0
/*
 * Entry points. Each is thin: find the socket's slot, call what follows it.
 * The first line of each that sees foreign traffic is the filter: a socket
 * that is not watched costs one load, or one look into a hash (sockets.h).
 * What each segment runs is in fronts (runs.h); what a read runs lies beside them.
 */
#include "processes.h"
#include "tls.h"

char LICENSE[] SEC("license") = "GPL";

#define SOCK_OF(tp) (&(tp)->inet_conn.icsk_inet.sk)

/*
 * The full look: a slot that missed an event takes its socket's counters again.
 * In front, for programs are loaded in this order, and a kernel that refuses it
 * says so at once.
 */
SEC("iter/bpf_sk_storage_map")
int heal(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct dw_ref *ref = ctx->value;
	struct sock *sk = ctx->sk;
	struct tcp_sock *tp;

	if (!sk || !ref)
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (tp)
		heal_socket(tp, ref);
	return 0;
}

/* A segment leaves with its final header: the announced window is there to be read. */
DW_FRONT(net_dev_queue, struct sk_buff *skb)
{
	struct sock *sk = skb->sk;
	struct dw_slot *s;
	__u32 slot;

	if (!sk)
		return DW_OTHER;
	s = config.arrivals_by_probe ? NULL : likely_slot_of(sk, &slot);
	if (!s)
		return may_be_watched(sk) ? DW_REST : DW_OTHER;
	return wants_streams(s) || may_turn_window(skb, !!(s->flags & DW_SLOT_CLOSED)) ? DW_REST
										       : DW_WATCHED;
}

/*
 * A segment came in; rcv_nxt does not hold it yet. Where the socket waits for more
 * than a byte, or its bytes are wanted, that is looked into.
 */
DW_FRONT(tcp_probe, struct sock *sk, struct sk_buff *skb)
{
	struct dw_slot *s;
	__u32 slot;

	if (!config.tls && !config.arrivals_by_probe && sk->sk_rcvlowat <= 1)
		return DW_OTHER;
	s = config.arrivals_by_probe ? NULL : likely_slot_of(sk, &slot);
	if (!s)
		return may_be_watched(sk) ? DW_REST : DW_OTHER;
	return sk->sk_rcvlowat > 1 || wants_streams(s) ? DW_REST : DW_OTHER;
}

/* Data, or a FIN, has reached the receive queue. */
DW_FRONT(sk_data_ready, struct sock *sk)
{
	struct tcp_sock *tp;
	struct dw_slot *s;
	__u64 now_ns;
	__u32 slot;

	s = likely_slot_of(sk, &slot);
	if (!s)
		return may_be_watched(sk) ? DW_REST : DW_OTHER;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return DW_OTHER;
	now_ns = segment_time_ns(tp);
	if (!is_plain_arrival(s, tp, now_ns))
		return DW_REST;
	track_plain_arrival(slot, s, tp, now_ns);
	s->arrived_jiffies = (__u32)bpf_jiffies64();
	return DW_WATCHED;
}

/* The reader copied a chunk, or peeked at one; the socket is locked, the segment not yet freed. */
DW_ENTRY(tcp_rcv_space_adjust, struct sock *sk)
{
	struct tcp_sock *tp;
	struct dw_slot *s;
	__u32 slot;

	s = slot_of(sk, &slot);
	if (!s)
		return DW_OTHER;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return DW_OTHER;
	track_progress(s, tp, 1);
	return DW_WATCHED;
}

/*
 * recvmsg has returned and the segments it consumed are freed. The lock is
 * released: only words that stand for themselves may be written. Where nothing
 * is left unread, the next arrival will tell.
 */
DW_ENTRY(sock_recv_length, struct sock *sk, int ret)
{
	struct dw_slot *s;
	__u32 slot;

	if (ret <= 0)
		return DW_OTHER;
	s = slot_of(sk, &slot);
	if (!s)
		return DW_OTHER;
	if (dw_unread_bytes(s))
		s->window.rmem = sk->sk_backlog.rmem_alloc.counter;
	return DW_WATCHED;
}

/*
 * What an earlier segment brought and sk_data_ready did not tell of (SO_RCVLOWAT
 * holds it back, and before 6.3 there is none) is seen here, and tcp_clock_cache
 * still holds its time.
 */
DW_REST_OF(tcp_probe, struct sock *sk, struct sk_buff *skb)
{
	struct tcp_sock *tp;
	struct dw_slot *s;
	__u64 earlier_ns;
	__u32 slot;

	s = slot_of(sk, &slot);
	if (!s) {
		if (config.arrivals_by_probe && slot == DW_NO_SLOT)
			follow_again(sk, brings_data(skb) ? DW_SEEKS_DATA : DW_SEEKS_EVENT);
		return DW_OTHER;
	}
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return DW_OTHER;
	take_received(skb, slot, s, tp->rcv_nxt);
	if (!config.arrivals_by_probe && sk->sk_rcvlowat <= 1)
		return DW_OTHER;
	if (s->window.rcv_nxt == tp->rcv_nxt)
		return DW_WATCHED;
	earlier_ns = segment_time_ns(tp);
	track_progress(s, tp, 0);
	track_segment(slot, s, tp, earlier_ns);
	announce_danger(slot, s, earlier_ns);
	return DW_WATCHED;
}

DW_REST_OF(sk_data_ready, struct sock *sk)
{
	struct tcp_sock *tp;
	struct dw_slot *s;
	__u64 now_ns;
	__u32 slot;

	s = slot_of(sk, &slot);
	if (!s) {
		if (slot == DW_NO_SLOT)
			follow_again(sk, DW_SEEKS_EVENT);
		return DW_OTHER;
	}
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return DW_OTHER;
	now_ns = segment_time_ns(tp);
	track_progress(s, tp, 0);
	track_segment(slot, s, tp, now_ns);
	s->arrived_jiffies = (__u32)bpf_jiffies64();
	announce_danger(slot, s, now_ns);
	return DW_WATCHED;
}

/* Without sk_data_ready, what came in since the last segment left is there to be read as well. */
DW_REST_OF(net_dev_queue, struct sk_buff *skb)
{
	struct sock *sk = skb->sk;
	struct tcp_header tcp = {};
	struct dw_slot *s;
	__u32 slot, zeros;
	__u64 now_ns;
	int closed;

	if (!sk)
		return DW_OTHER;
	s = slot_of(sk, &slot);
	if (!s)
		return DW_OTHER;
	take_sent(skb, sk, slot, s);
	if (config.arrivals_by_probe && acknowledges_more(s, sk)) {
		now_ns = bpf_ktime_get_ns();
		track_acknowledged(slot, s, sk, now_ns);
		announce_danger(slot, s, now_ns);
	}
	if (!may_turn_window(skb, !!(s->flags & DW_SLOT_CLOSED)) || read_header(&tcp, skb))
		return DW_WATCHED;
	if (!is_own_segment(&tcp, s, sk))
		return DW_WATCHED;
	if ((tcp.flags & (TCP_FLAG_ACK | TCP_FLAG_SYN | TCP_FLAG_RST)) != TCP_FLAG_ACK)
		return DW_WATCHED;
	closed = tcp.window == 0;
	if (!dw_window_turned(s, closed, &zeros))
		return DW_WATCHED;
	now_ns = bpf_ktime_get_ns();
	probe_window(&s->window, sk);
	turn_window(slot, s, closed, zeros, now_ns, 0);
	return DW_WATCHED;
}

/* Who calls connect() or listen() is known here; accepted connections follow their listener. */
DW_ENTRY(inet_sock_set_state, struct sock *sk, int oldstate, int newstate)
{
	struct dw_ref *ref = find_ref(sk);
	struct tcp_sock *tp;

	if (!ref && !may_begin_watch(newstate))
		return DW_OTHER;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return DW_OTHER;
	if (config.sockets_by_address && ref && is_left_over(ref, oldstate, newstate)) {
		forget_socket(sk, ref);
		ref = NULL;
	}
	if (!ref)
		begin_watch(tp, oldstate, newstate);
	else if (ref->self == (__u64)sk && has_slot(ref)) {
		follow_state(ref->slot, tp, newstate);
		if (takes_streams())
			tell_of_closing(ref->slot, oldstate, newstate);
	} else if (newstate == DW_TCP_ESTABLISHED) {
		adopt(tp, ref);
		note_connected(ref);
	}
	if (newstate == DW_TCP_ESTABLISHED)
		tell_of_connection(sk);
	return DW_OTHER;
}

/* The end of a socket, whatever led to it. */
DW_ENTRY(tcp_destroy_sock, struct sock *sk)
{
	struct dw_ref *ref = find_ref(sk);
	struct dw_slot *s;
	__u32 slot;

	forget_unstored(sk);
	if (!ref || ref->self != (__u64)sk)
		return DW_OTHER;
	s = slot_of(sk, &slot);
	if (s && dw_unread_bytes(s))
		send_socket_record(DW_REC_ENDED, slot, s, bpf_ktime_get_ns(), 0, 0);
	forget_socket(sk, ref);
	return s ? DW_WATCHED : DW_OTHER;
}

DW_ENTRY(tcp_receive_reset, struct sock *sk)
{
	struct dw_slot *s;
	__u32 slot;

	s = slot_of(sk, &slot);
	if (s)
		tell_of_reset(DW_REC_RESET_IN, slot, s, 0);
	return s ? DW_WATCHED : DW_OTHER;
}

/*
 * Also what close() does to unread data. Then who runs holds the socket; who runs
 * as a timer gives the peer up does not.
 */
DW_ENTRY(tcp_send_reset, struct sock *sk)
{
	struct dw_slot *s;
	__u32 slot;

	if (!sk)
		return DW_OTHER;
	s = slot_of(sk, &slot);
	if (s)
		tell_of_reset(DW_REC_RESET_OUT, slot, s,
			      sk->sk_lock.owned ? bpf_get_current_pid_tgid() >> 32 : 0);
	return s ? DW_WATCHED : DW_OTHER;
}

/* The kernel's own TLS (6.6): what it encrypts and decrypts itself, it can name. */
DW_ENTRY(tls_alert_send, struct sock *sk, unsigned char level, unsigned char description)
{
	return tell_of_alert(DW_REC_ALERT_OUT, sk, level, description);
}

DW_ENTRY(tls_alert_recv, struct sock *sk, unsigned char level, unsigned char description)
{
	return tell_of_alert(DW_REC_ALERT_IN, sk, level, description);
}

/*
 * A daemon (tlshd) takes a socket of the kernel's, of NFS or NVMe, to do the TLS handshake on it
 * (net/handshake, 6.4): no other event tells whose it is.
 */
DW_ENTRY(handshake_cmd_accept, struct net *net, struct handshake_req *req, struct sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	if (tp)
		follow_handshake(tp);
	return DW_OTHER;
}

/* And says how it went. */
DW_ENTRY(handshake_complete, struct net *net, struct handshake_req *req, struct sock *sk,
	 int status)
{
	return tell_of_completion(sk, status);
}

DW_ENTRY(sched_process_fork, struct task_struct *parent, struct task_struct *child)
{
	if (child->tgid != parent->tgid)
		follow_fork(parent->tgid, child);
	return DW_OTHER;
}

DW_ENTRY(sched_process_exec, struct task_struct *task)
{
	match_name(task);
	return DW_OTHER;
}

/* A daemon may name itself after it started; its threads' names do not count. */
DW_ENTRY(task_rename, struct task_struct *task, const char *name)
{
	if (task->pid == task->tgid)
		rename_target(task, name);
	return DW_OTHER;
}

DW_ENTRY(sched_process_exit, struct task_struct *task)
{
	if (!task->signal->live.counter)
		forget_target(task);
	return DW_OTHER;
}

/*
 * What a hook costs that does nothing: measured at the start, before anything
 * else attaches, by a thread that renames itself (userspace/bpf/way.cpp).
 */
SEC("tp_btf/task_rename")
int empty_hook(void *ctx)
{
	struct dw_stopwatch watch = {};
	struct dw_runs *r = runs_here();

	if (!r)
		return 0;
	begin_run(r, DW_RUNS_EMPTY, &watch);
	end_run(r, DW_RUNS_EMPTY, &watch);
	return 0;
}

/*
 * Runs once for each batch before anything attaches: a system call for each
 * slot would take a quarter of a second.
 */
SEC("raw_tp")
int BPF_PROG(fill_free_slots, __u64 first)
{
	for (__u32 i = 0; i < DW_FILL_BATCH; i++) {
		__u32 slot = first + DW_FILL_BATCH - 1 - i; /* the lowest comes out first */

		bpf_map_push_elem(&free_slots, &slot, 0);
	}
	return 0;
}

/*
 * Every descriptor of the targets (or of one process, if the iterator is so
 * limited): watch the sockets that are new, and tell who holds which. By
 * address, a connection only gets its slot from find_connections. Where the
 * kernel refuses heal(), this look does it as well.
 */
SEC("iter/task_file")
int find_descriptors(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct dw_descriptor found = {};
	struct dw_ref *ref;
	struct sock *sk;
	int target;
	__u8 state;

	if (!task || !file)
		return 0;
	/* before 5.10 a thread's view of shared files is shown once more */
	if (task->pid != task->tgid && task->files == task->group_leader->files)
		return 0;
	found.tgid = task->tgid;
	target = is_target(found.tgid);
	if (!target && !report_everyone)
		return 0;
	sk = socket_behind(file);
	if (!sk)
		return 0;
	state = BPF_CORE_READ(sk, __sk_common.skc_state);
	found.listener = state == DW_TCP_LISTEN;
	ref = find_ref(sk);
	if (ref && config.heals_by_descriptor)
		heal_socket((struct tcp_sock *)sk, ref);
	/* iter/tcp does not come to it */
	if (ref && config.sockets_by_address && state == DW_TCP_CLOSE)
		release_dead(ref);
	if (releases_all)
		return 0;
	if (!ref) {
		if (!target || state == DW_TCP_CLOSE)
			return 0;
		if (!found.listener && !port_wanted(sk))
			return 0;
		ref = watch_held(sk, found.listener, found.tgid);
		if (!ref)
			return 0;
	}
	if (target && found.listener) {
		enter_again(sk, ref, found.tgid);
		hand_listener_on(sk, ref, found.tgid);
	}
	/* after its storage was made: who comes now is followed */
	found.waiting = found.listener && BPF_CORE_READ(sk, sk_ack_backlog) != 0;
	found.fd = ctx->fd;
	found.slot = ref->slot;
	found.cookie = known_cookie(sk, ref);
	found.inode = BPF_CORE_READ(file, f_inode, i_ino);
	found.netns = netns_of(sk);
	found.local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	bpf_seq_write(ctx->meta->seq, &found, sizeof(found));
	return 0;
}

/*
 * Connections that were waiting to be accepted before we came: they have no
 * descriptor. With --all, every connection of this network namespace. By
 * address, this look also does what heal() does by storage.
 */
SEC("iter/tcp")
int find_connections(struct bpf_iter__tcp *ctx)
{
	struct sock_common *common = ctx->sk_common;
	struct dw_listener *listener;
	struct tcp_sock *tp;
	struct dw_ref *ref;
	int accepted;

	if (!common)
		return 0;
	tp = bpf_skc_to_tcp_sock(common);
	if (!tp || !dw_carries_data(common->skc_state))
		return 0;
	accepted = SOCK_OF(tp)->sk_socket != NULL;
	if (accepted && !config.watch_all && !config.sockets_by_address)
		return 0;
	ref = find_ref(SOCK_OF(tp));
	if (ref) {
		if (config.sockets_by_address)
			heal_socket(tp, ref);
		return 0;
	}
	if (releases_all || (accepted && !config.watch_all))
		return 0;
	listener = listener_of(SOCK_OF(tp));
	if ((config.watch_all || listener) && port_wanted(SOCK_OF(tp)))
		watch_connection(tp, listener ? listener->owner_tgid : 0, DW_SEEKS_LOOK);
	return 0;
}
