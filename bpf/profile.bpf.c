// SPDX-License-Identifier: GPL-2.0
/*
 * Entry points of `profile`. They stand on the watch, whose maps they share:
 * what is watched is measured. Each first looks whether the socket, or the
 * thread, is one of these.
 */
#include "tls_measure.h"

#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

#define EAGAIN 11
#define TCP_FLAG_FIN 0x01

/* System calls that take data out of a socket without recvmsg: <asm/unistd_64.h>. */
#define NR_GETSOCKOPT 55 /* TCP_ZEROCOPY_RECEIVE */
#define NR_SPLICE 275

/*
 * A segment came in, and is not in the queue yet. Looked at where sk_data_ready
 * does not tell of each: SO_RCVLOWAT holds it back, and before 6.3 there is none.
 */
SEC("tp_btf/tcp_probe")
int BPF_PROG(tcp_probe, struct sock *sk, struct sk_buff *skb)
{
	const struct tcp_skb_cb *segment = (const struct tcp_skb_cb *)skb->cb;
	struct dw_measured_socket *m;
	struct tcp_sock *tp;
	__u32 slot, seq, end_seq;

	if (!profile_config.arrivals_by_probe && sk->sk_rcvlowat <= 1)
		return 0;
	m = measured_of(sk, &slot);
	if (!m)
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 0;
	/* what filled a gap, or came as the connection was half closed */
	measure_arrival(slot, m, data_end_of(tp->rcv_nxt, sk->__sk_common.skc_flags),
			segment_time_ns(tp));
	seq = BPF_CORE_READ(segment, seq);
	end_seq = BPF_CORE_READ(segment, end_seq);
	if (BPF_CORE_READ(segment, tcp_flags) & TCP_FLAG_FIN)
		end_seq--;
	if (!dw_seq_before(tp->rcv_nxt, seq) && dw_seq_before(tp->rcv_nxt, end_seq))
		measure_arrival(slot, m, end_seq, stamp_or_clock(skb, bpf_ktime_get_ns()));
	return 0;
}

/* Data, or a FIN, has reached the receive queue. */
SEC("tp_btf/sk_data_ready")
int BPF_PROG(sk_data_ready, struct sock *sk)
{
	struct dw_measured_socket *m;
	struct tcp_sock *tp;
	__u32 slot;

	m = measured_of(sk, &slot);
	if (!m)
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (tp)
		measure_arrival(slot, m, data_end_of(tp->rcv_nxt, sk->__sk_common.skc_flags),
				arrival_ns(m, tp));
	return 0;
}

static __always_inline int ends_without_recvmsg(void)
{
	__s32 call = system_call_of(current_task());

	return call == NR_SPLICE || call == NR_GETSOCKOPT;
}

/* The reader copied a chunk, or peeked at one: then copied_seq has not moved. */
SEC("tp_btf/tcp_rcv_space_adjust")
int BPF_PROG(tcp_rcv_space_adjust, struct sock *sk)
{
	struct reader reader = current_reader();
	struct dw_measured_socket *m;
	struct tcp_sock *tp;
	__u32 slot, copied_seq, bytes;
	__u64 now_ns;

	m = measured_of(sk, &slot);
	if (!m)
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 0;
	copied_seq = tp->copied_seq;
	if (!dw_seq_before(m->copied_seq, copied_seq))
		return 0;
	bytes = copied_seq - m->copied_seq;
	now_ns = bpf_ktime_get_ns();
	measure_copy(slot, m, reader, copied_seq, now_ns);
	if (profile_config.reads_by_chunk || ends_without_recvmsg()) {
		measure_latencies(slot, m, reader.tid, now_ns);
		note_tls_read(m, reader, now_ns);
		record(group_of(m->cookie, reader.tgid, reader.tid), DW_DIST_READ_BYTES, bytes, 1);
	}
	return 0;
}

/* A call that reads is over: with `ret` bytes, or an error. */
static __always_inline void measure_call(struct sock *sk, int ret, int flags)
{
	struct reader reader = current_reader();
	struct dw_measured_socket *m;
	__u64 group, now_ns;
	__u32 slot;

	m = measured_of(sk, &slot);
	if (!m)
		return;
	group = group_of(m->cookie, reader.tgid, reader.tid);
	if (flags & MSG_PEEK) {
		if (ret > 0)
			record(group, DW_DIST_PEEKS, 0, 1);
	} else if (ret > 0) {
		record(group, DW_DIST_READ_BYTES, ret, 1);
		now_ns = bpf_ktime_get_ns(); /* after what takes time */
		measure_latencies(slot, m, reader.tid, now_ns);
		note_tls_read(m, reader, now_ns);
	} else if (ret == -EAGAIN) {
		record(group, DW_DIST_EMPTY_READS, 0, 1);
	}
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(sock_recv_length, struct sock *sk, int ret, int flags)
{
	measure_call(sk, ret, flags);
	return 0;
}

/* The same where there is no such tracepoint, before 6.3, RHEL 9. */
SEC("fexit/inet_recvmsg")
int BPF_PROG(inet_recvmsg, struct socket *socket, struct msghdr *message,
	     unsigned long size, int flags, int ret)
{
	measure_call(socket->sk, ret, flags);
	return 0;
}

SEC("fexit/inet6_recvmsg")
int BPF_PROG(inet6_recvmsg, struct socket *socket, struct msghdr *message,
	     unsigned long size, int flags, int ret)
{
	measure_call(socket->sk, ret, flags);
	return 0;
}

/* No one can read it any more. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(inet_sock_set_state, struct sock *sk, int oldstate, int newstate)
{
	struct dw_measured_socket *m;
	__u64 now_ns;
	__u32 slot;

	if (newstate != DW_TCP_CLOSE)
		return 0;
	m = measured_of(sk, &slot);
	if (!m)
		return 0;
	now_ns = bpf_ktime_get_ns();
	record_depth(m, now_ns);
	m->closed = 1;
	m->data_end = m->copied_seq;
	dw_queue_clear(&m->queue);
	follow_wait(m, now_ns);
	return 0;
}

/* What a task is about to do as it leaves the CPU. One that is woken meanwhile has the state 0. */
static __always_inline __u32 state_after(struct task_struct *task, int preempted)
{
	const struct task_struct___old *old = (const struct task_struct___old *)task;
	__u64 state;

	if (bpf_core_field_exists(task->__state))
		state = BPF_CORE_READ(task, __state);
	else
		state = BPF_CORE_READ(old, state);
	if (state & TASK_DEAD)
		return DW_THREAD_ENDED;
	return state && !preempted ? DW_THREAD_SLEEPING : DW_THREAD_RUNNABLE;
}

static __always_inline void follow_leaving(void *ctx, struct task_struct *task, int preempted)
{
	__u32 tid = task->pid;
	struct dw_thread *t = bpf_map_lookup_elem(&threads, &tid);
	__u64 now_ns;

	if (!t || ended)
		return;
	now_ns = bpf_ktime_get_ns();
	settle(t, tid, now_ns);
	dw_thread_leave(t, now_ns, state_after(task, preempted), system_call_of(task));
	if (profile_config.stacks) {
		t->kernel_stack = bpf_get_stackid(ctx, &stacks, 0);
		t->user_stack = bpf_get_stackid(ctx, &stacks, BPF_F_USER_STACK);
	}
}

static __always_inline void follow_entering(struct task_struct *task)
{
	__u32 tid = task->pid;
	struct dw_thread *t = bpf_map_lookup_elem(&threads, &tid);
	__u64 now_ns;

	if (!t || ended)
		return;
	now_ns = bpf_ktime_get_ns();
	settle(t, tid, now_ns);
	dw_thread_enter(t, now_ns);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(sched_switch, int preempted, struct task_struct *prev, struct task_struct *next)
{
	follow_leaving(ctx, prev, preempted);
	follow_entering(next);
	return 0;
}

static __always_inline void follow_waking(struct task_struct *task)
{
	__u32 tid = task->pid;
	struct dw_thread *t = bpf_map_lookup_elem(&threads, &tid);
	__u64 now_ns;

	if (!t || ended || t->state != DW_THREAD_SLEEPING)
		return;
	now_ns = bpf_ktime_get_ns();
	settle(t, tid, now_ns);
	dw_thread_wake(t, now_ns);
}

/* In the waker's context, as soon as it is decided. */
SEC("tp_btf/sched_waking")
int BPF_PROG(sched_waking, struct task_struct *task)
{
	follow_waking(task);
	return 0;
}

/* On the CPU that is to run it: the same, for a waking that came as it was still on its way out. */
SEC("tp_btf/sched_wakeup")
int BPF_PROG(sched_wakeup, struct task_struct *task)
{
	follow_waking(task);
	return 0;
}

/* Run by the user side: measure what is in this slot, even if nothing ever happens to it. */
SEC("raw_tp")
int BPF_PROG(begin_slot, __u64 number)
{
	__u32 slot = number;
	struct dw_slot *s = bpf_map_lookup_elem(&slots, &slot);
	struct dw_measured_socket *m = bpf_map_lookup_elem(&measured, &slot);

	if (!s || !m || !s->cookie || s->ended_ns)
		return 0;
	if (!has_begun(m, s))
		begin_once(slot, m, s);
	else if (!m->reader_tid)
		find_reader(m, bpf_ktime_get_ns());
	return 0;
}

/*
 * Functions of TLS libraries: attached by the user side, process by process.
 * All have the session as their first argument.
 */
SEC("uprobe")
int tls_read_begin(struct pt_regs *ctx)
{
	begin_tls_call(ctx, DW_TLS_READ);
	return 0;
}

SEC("uprobe")
int tls_handshake_begin(struct pt_regs *ctx)
{
	begin_tls_call(ctx, DW_TLS_HANDSHAKE);
	return 0;
}

SEC("uprobe")
int tls_peek_begin(struct pt_regs *ctx)
{
	begin_tls_call(ctx, DW_TLS_PEEK);
	return 0;
}

SEC("uretprobe")
int tls_peek_end(struct pt_regs *ctx)
{
	return_tls_call(ctx, DW_TLS_PEEK, DW_TLS_DONE);
	return 0;
}

SEC("uprobe")
int tls_free(struct pt_regs *ctx)
{
	free_tls_session(ctx);
	return 0;
}

SEC("uretprobe")
int openssl_read_end(struct pt_regs *ctx)
{
	return_tls_call(ctx, DW_TLS_READ, dw_openssl_outcome((__s32)ctx->ax));
	return 0;
}

SEC("uretprobe")
int openssl_handshake_end(struct pt_regs *ctx)
{
	return_tls_call(ctx, DW_TLS_HANDSHAKE, dw_openssl_outcome((__s32)ctx->ax));
	return 0;
}

SEC("uprobe")
int openssl_error_begin(struct pt_regs *ctx)
{
	begin_tls_error(ctx);
	return 0;
}

SEC("uretprobe")
int openssl_error_end(struct pt_regs *ctx)
{
	return_tls_error(ctx);
	return 0;
}

SEC("uretprobe")
int gnutls_read_end(struct pt_regs *ctx)
{
	return_tls_call(ctx, DW_TLS_READ, dw_gnutls_outcome((__s64)ctx->ax, DW_TLS_READ));
	return 0;
}

SEC("uretprobe")
int gnutls_handshake_end(struct pt_regs *ctx)
{
	return_tls_call(ctx, DW_TLS_HANDSHAKE, dw_gnutls_outcome((__s32)ctx->ax, DW_TLS_HANDSHAKE));
	return 0;
}
