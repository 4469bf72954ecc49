/* SPDX-License-Identifier: GPL-2.0 */
/* What the kernel's socket says, copied into a slot. */
#ifndef DRAINWATCH_READ_SOCKET_H
#define DRAINWATCH_READ_SOCKET_H

#include "listeners.h"
#include "segment.h"
#include "drainwatch/socket_track.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

/* Makes plain loads of memory that the verifier does not trust; 6.2. */
extern void *bpf_rdonly_cast(const void *object, __u32 btf_id) __ksym __weak;

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

/* When the last data segment came, to a jiffy; now_ns if that is not known. */
static __always_inline __u64 last_arrival_ns(const struct sock *sk, __u64 now_ns)
{
	const struct tcp_sock *tp = (const struct tcp_sock *)sk;
	__u32 lrcvtime = BPF_CORE_READ(tp, inet_conn.icsk_ack.lrcvtime);
	__u64 age_ns = (__u64)((__u32)bpf_jiffies64() - lrcvtime) * config.jiffy_ns;

	return lrcvtime && age_ns < now_ns ? now_ns - age_ns : now_ns;
}

/* The header of a segment that leaves. */
static __always_inline int read_header(struct tcp_header *tcp, const struct sk_buff *skb)
{
	return bpf_probe_read_kernel(tcp, sizeof(*tcp), skb->head + skb->transport_header);
}

/*
 * Is this the header of the socket's own segment? A tunnel sends it again under an
 * outer one. And where ports are translated, that has been done by now: what it
 * acknowledges is the socket's all the same.
 */
static __always_inline int is_own_segment(const struct tcp_header *tcp, const struct dw_slot *s,
					  const struct sock *sk)
{
	const struct tcp_sock *tp = (const struct tcp_sock *)sk;

	if (bpf_ntohs(tcp->source) == s->local_port && bpf_ntohs(tcp->dest) == s->remote_port)
		return 1;
	return tcp->flags & TCP_FLAG_ACK && bpf_ntohl(tcp->ack_seq) == BPF_CORE_READ(tp, rcv_nxt);
}

/*
 * Might this segment announce a window that is open where the last one was
 * closed, or closed where it was open? Nearly none does, and it takes one load
 * to say so.
 */
static __always_inline int may_turn_window(const struct sk_buff *skb, int was_closed)
{
	const struct tcphdr *tcp;

	if (!bpf_rdonly_cast)
		return 1;
	tcp = bpf_rdonly_cast(skb->head + skb->transport_header,
			      bpf_core_type_id_kernel(struct tcphdr));
	return (tcp->window == 0) != was_closed;
}

#endif
