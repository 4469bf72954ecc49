/* SPDX-License-Identifier: GPL-2.0 */
/* Listeners by where they listen: for connections that were born unseen. */
#ifndef DRAINWATCH_LISTENERS_H
#define DRAINWATCH_LISTENERS_H

#include "maps.h"
#include "sockets.h"

static __always_inline __u32 netns_of(const struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
}

/* Where the socket is, listener or connection. */
static __always_inline void read_place(struct dw_listener_key *key, const struct sock *sk)
{
	key->netns = netns_of(sk);
	key->port = BPF_CORE_READ(sk, __sk_common.skc_num);
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET6)
		BPF_CORE_READ_INTO(&key->address, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8);
	else
		dw_listener_set_v4(key, BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr));
}

/* The watched listener to which a connection came; NULL if there is none. */
static __always_inline struct dw_listener *listener_of(const struct sock *sk)
{
	struct dw_listener_key key = {};
	struct dw_listener *listener;
	int v4;

	read_place(&key, sk);
	v4 = dw_listener_is_v4(&key);
	for (int i = 0; i < DW_LISTENER_STEPS; i++) {
		listener = bpf_map_lookup_elem(&listeners, &key);
		if (listener && !(listener->v6only && v4))
			return listener;
		if (!dw_listener_widen(&key))
			break;
	}
	return NULL;
}

static __always_inline void enter_listener(const struct sock *sk, __u32 owner_tgid)
{
	struct dw_listener_key key = {};
	struct dw_listener *known;
	struct dw_listener fresh = {.owner_tgid = owner_tgid, .sockets = 1};

	read_place(&key, sk);
	known = bpf_map_lookup_elem(&listeners, &key);
	if (known) {
		known->owner_tgid = owner_tgid;
		__sync_fetch_and_add(&known->sockets, 1);
		return;
	}
	fresh.v6only = BPF_CORE_READ_BITFIELD_PROBED(sk, __sk_common.skc_ipv6only);
	if (bpf_map_update_elem(&listeners, &key, &fresh, BPF_ANY))
		count(DW_COUNT_STORAGE_FAILED);
}

/* The port is not in the socket any more when it ends. */
static __always_inline void leave_listener(const struct sock *sk, __u16 port)
{
	struct dw_listener_key key = {};
	struct dw_listener *known;

	read_place(&key, sk);
	key.port = port;
	known = bpf_map_lookup_elem(&listeners, &key);
	if (!known)
		return;
	if (known->sockets > 1)
		__sync_fetch_and_add(&known->sockets, -1);
	else
		bpf_map_delete_elem(&listeners, &key);
}

/* `listeners` was cleared since this one was entered. */
static __always_inline void enter_again(const struct sock *sk, struct dw_ref *ref, __u32 owner_tgid)
{
	if (ref->listens_on)
		return;
	ref->listens_on = BPF_CORE_READ(sk, __sk_common.skc_num);
	enter_listener(sk, owner_tgid);
}

/* A listener may be handed on: the process that has it now stands for its waiting connections. */
static __always_inline void hand_listener_on(const struct sock *sk, struct dw_ref *ref,
					     __u32 owner_tgid)
{
	struct dw_listener *listener;

	if (ref->owner_tgid == owner_tgid)
		return;
	ref->owner_tgid = owner_tgid;
	listener = listener_of(sk);
	if (listener)
		listener->owner_tgid = owner_tgid;
}

#endif
