/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Bytes of watched sockets' streams, for what TLS says in the clear: a
 * handshake in whole, then no more than the headers of what may be alerts. They
 * are looked into by the user side: here payload cannot be read, for it lies in
 * pages of its own, only handed on. bpf_skb_output does that since 5.5.
 */
#ifndef DRAINWATCH_TLS_H
#define DRAINWATCH_TLS_H

#include "follow.h"
#include "runs.h"
#include "drainwatch/tls_phase.h"

/* The one way into the buffer: what goes in and what does not is counted. */
static __always_inline void send_stream_bytes(struct sk_buff *skb, struct dw_stream_bytes *what,
					      __u32 size)
{
	__u64 flags = BPF_F_CURRENT_CPU | (__u64)size << 32;
	struct dw_stopwatch watch = {};
	struct dw_runs *r = runs_here();

	if (r)
		begin_run(r, DW_RUNS_STREAMS, &watch);
	if (bpf_skb_output(skb, &stream_bytes, flags, what, sizeof(*what)))
		count(DW_COUNT_BYTES_LOST);
	else
		count(DW_COUNT_BYTES_SENT);
	if (r)
		end_run(r, DW_RUNS_STREAMS, &watch);
}

/* A segment with the payload from payload_at on, counted from skb->data. */
static __always_inline void take_bytes(struct sk_buff *skb, __u32 slot, struct dw_slot *s,
				       __u32 seq, __u32 payload_at, int from_peer)
{
	struct dw_stream_bytes what = {};
	__u32 length = skb->len;
	__u32 wanted;

	if (length <= payload_at)
		return;
	what.start_seq = from_peer ? s->received_from : s->sent_from;
	what.offset = seq - what.start_seq;
	what.segment_bytes = length - payload_at;
	wanted = dw_tls_part(&s->tls, what.offset, what.segment_bytes, &what.part);
	if (!wanted)
		return;
	what.taken_bytes = wanted;
	what.cookie = s->cookie;
	what.at_ns = bpf_ktime_get_ns();
	what.slot = slot;
	what.payload_at = payload_at;
	what.netns = s->netns;
	what.owner_tgid = s->owner_tgid;
	what.reader_tgid = s->reader_tgid;
	what.family = s->family;
	what.local_port = s->local_port;
	what.remote_port = s->remote_port;
	what.from_peer = from_peer;
	what.round = s->tls.round;
	__builtin_memcpy(what.local, s->local, sizeof(what.local));
	__builtin_memcpy(what.remote, s->remote, sizeof(what.remote));
	send_stream_bytes(skb, &what, payload_at + wanted);
}

/* Are bytes of this connection's streams to be handed on? */
static __always_inline int wants_streams(const struct dw_slot *s)
{
	return config.tls && dw_tls_wants(&s->tls) && !streams_off;
}

static __always_inline __u32 header_bytes(const struct tcp_header *tcp)
{
	return (__u32)(tcp->offset >> 4) * 4;
}

/* At tcp_probe: is there payload in the segment? */
static __always_inline int brings_data(const struct sk_buff *skb)
{
	struct tcp_header tcp = {};

	return !bpf_probe_read_kernel(&tcp, sizeof(tcp), skb->data) &&
	       skb->len > header_bytes(&tcp);
}

/* At tcp_probe, skb->data is the TCP header. What has come before is not taken again. */
static __always_inline void take_received(struct sk_buff *skb, __u32 slot, struct dw_slot *s,
					  __u32 rcv_nxt)
{
	struct tcp_header tcp = {};
	__u32 end_seq;

	if (!wants_streams(s) || bpf_probe_read_kernel(&tcp, sizeof(tcp), skb->data))
		return;
	end_seq = bpf_ntohl(tcp.seq) + skb->len - header_bytes(&tcp);
	if (dw_seq_before(rcv_nxt, end_seq))
		take_bytes(skb, slot, s, bpf_ntohl(tcp.seq), header_bytes(&tcp), 1);
}

/* At net_dev_queue, skb->data is the first header of all: __dev_queue_xmit() has just set mac_header. */
static __always_inline void take_sent(struct sk_buff *skb, const struct sock *sk, __u32 slot,
				      struct dw_slot *s)
{
	struct tcp_header tcp = {};
	__u32 headers;

	if (!wants_streams(s) || read_header(&tcp, skb) || !is_own_segment(&tcp, s, sk))
		return;
	headers = skb->transport_header - skb->mac_header + header_bytes(&tcp);
	take_bytes(skb, slot, s, bpf_ntohl(tcp.seq), headers, 0);
}

/* A watched socket changes its state: whose handshake is that the end of? */
static __always_inline void tell_of_closing(__u32 slot, int oldstate, int newstate)
{
	const struct dw_slot *s = bpf_map_lookup_elem(&slots, &slot);

	if (!s || !dw_tls_in_handshake(&s->tls))
		return;
	if (newstate == DW_TCP_CLOSE_WAIT || newstate == DW_TCP_FIN_WAIT1 ||
	    (newstate == DW_TCP_CLOSE && oldstate == DW_TCP_ESTABLISHED))
		send_socket_record(DW_REC_CLOSED, slot, s, bpf_ktime_get_ns(), 0, 0);
}

/*
 * What is said on this socket from now on is a handshake. As long as this side
 * has said nothing, what the peer has said is part of it, and followed already.
 */
static __always_inline void follow_handshake(struct tcp_sock *tp)
{
	struct sock *sk = &tp->inet_conn.icsk_inet.sk;
	struct dw_slot *s;
	__u32 slot;

	if (!dw_carries_data(sk->__sk_common.skc_state))
		return;
	s = slot_of(sk, &slot);
	if (!s) {
		if (slot == DW_NO_SLOT)
			follow_again(sk, DW_SEEKS_DATA);
		else
			watch_for_current(tp);
		s = slot_of(sk, &slot);
	}
	if (!s || !takes_streams() ||
	    (dw_tls_in_handshake(&s->tls) && tp->snd_nxt == s->sent_from))
		return;
	dw_tls_begin_here(s, tp->rcv_nxt, tp->snd_nxt);
	send_socket_record(DW_REC_HANDSHAKE_BEGUN, slot, s, bpf_ktime_get_ns(), 0, 0);
}

/* The daemon's status is an errno, the kernel's own is negative: net/handshake/netlink.c. */
static __always_inline enum dw_outcome tell_of_completion(struct sock *sk, int status)
{
	struct dw_slot *s;
	__u32 slot;

	s = slot_of(sk, &slot);
	if (s && dw_tls_in_handshake(&s->tls))
		send_socket_record(DW_REC_HANDSHAKE_OVER, slot, s, bpf_ktime_get_ns(),
				   status < 0 ? -status : status, 0);
	return s ? DW_WATCHED : DW_OTHER;
}

static __always_inline enum dw_outcome tell_of_alert(__u32 kind, struct sock *sk, __u8 level,
						     __u8 description)
{
	struct dw_slot *s;
	__u32 slot;

	s = slot_of(sk, &slot);
	if (s)
		send_socket_record(kind, slot, s, bpf_ktime_get_ns(), level << 8 | description, 0);
	return s ? DW_WATCHED : DW_OTHER;
}

#endif
