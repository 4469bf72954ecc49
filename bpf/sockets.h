/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is known of a socket, by two ways. Socket storage is the better one: a
 * socket that is not watched costs a load or two, and the storage ends with the
 * socket. Tracing programs may use it since 5.11 (RHEL 8.5), and may ask for
 * cookies since 5.12 (8.6); before that, a hash keyed by the socket's address
 * has to do. config is constant at load, so the verifier sees one of the two,
 * and a kernel need not know the other's helpers.
 */
#ifndef DRAINWATCH_SOCKETS_H
#define DRAINWATCH_SOCKETS_H

#include "socket_maps.h"
#include "drainwatch/socket_track.h"

#include <bpf/bpf_core_read.h>

/* NULL for a socket that is not watched. By address, sk need not be trusted. */
static __always_inline struct dw_ref *find_ref(struct sock *sk)
{
	__u64 address = (__u64)sk;

	if (config.sockets_by_address)
		return bpf_map_lookup_elem(&sockets_by_address, &address);
	if (!sk->sk_bpf_storage)
		return NULL;
	return bpf_sk_storage_get(&sockets, sk, NULL, 0);
}

static __always_inline void enter_index(__u64 cookie, __u32 slot)
{
	__u32 place = cookie & (DW_INDEX_PLACES - 1);
	__u32 *entry = bpf_map_lookup_elem(&slot_index, &place);

	if (entry)
		*entry = slot;
}

/* The slot that the index has for the cookie, if it is that socket's: cheaper than its storage. */
static __always_inline struct dw_slot *indexed_slot(__u64 cookie, __u32 *slot)
{
	__u32 place = cookie & (DW_INDEX_PLACES - 1);
	__u32 *entry = bpf_map_lookup_elem(&slot_index, &place);
	struct dw_slot *s;

	if (!entry)
		return NULL;
	*slot = *entry;
	s = bpf_map_lookup_elem(&slots, slot);
	return s && s->cookie == cookie && !s->ended_ns ? s : NULL;
}

/*
 * The slot that the socket's own reference names. One that still is its listener's,
 * for the connection's birth was missed, names none.
 */
static __always_inline struct dw_slot *referenced_slot(struct sock *sk, __u32 *slot)
{
	struct dw_ref *ref = find_ref(sk);
	struct dw_slot *s;

	*slot = 0;
	if (!ref)
		return NULL;
	*slot = ref->self == (__u64)sk ? ref->slot : DW_NO_SLOT;
	s = bpf_map_lookup_elem(&slots, slot);
	if (s && s->cookie == ref->cookie)
		return s;
	*slot = DW_NO_SLOT;
	return NULL;
}

/* One that was taken back while nothing was hooked, and may be another's by now, is none. */
static __always_inline int has_slot(const struct dw_ref *ref)
{
	__u32 slot = ref->slot;
	struct dw_slot *s = bpf_map_lookup_elem(&slots, &slot);

	return s && s->cookie == ref->cookie;
}

/* 0 for nearly every socket that is not watched. By storage, it takes no look into ours. */
static __always_inline int may_be_watched(struct sock *sk)
{
	if (config.sockets_by_address)
		return find_ref(sk) != NULL;
	return sk->__sk_common.skc_cookie.counter && sk->sk_bpf_storage;
}

/* By storage: the slot of nearly every watched connection, by the shortest way. Else NULL. */
static __always_inline struct dw_slot *likely_slot_of(const struct sock *sk, __u32 *slot)
{
	__u64 cookie;

	if (config.sockets_by_address)
		return NULL;
	cookie = sk->__sk_common.skc_cookie.counter;
	return cookie ? indexed_slot(cookie, slot) : NULL;
}

/*
 * The slot of a watched connection; NULL for everything else, and *slot is
 * DW_NO_SLOT for one that is watched and has none. By storage, whoever is
 * watched has a cookie, and few others have.
 */
static __always_inline struct dw_slot *slot_of(struct sock *sk, __u32 *slot)
{
	struct dw_slot *s = NULL;
	__u64 cookie;

	*slot = 0;
	if (!config.sockets_by_address) {
		cookie = sk->__sk_common.skc_cookie.counter;
		if (!cookie)
			return NULL;
		s = indexed_slot(cookie, slot);
	}
	if (!s)
		s = referenced_slot(sk, slot);
	return s;
}

static __always_inline void drop_ref(struct sock *sk)
{
	__u64 address = (__u64)sk;

	if (config.sockets_by_address)
		bpf_map_delete_elem(&sockets_by_address, &address);
	else
		bpf_sk_storage_delete(&sockets, sk);
}

/* The socket's cookie, or one of our own where there is none and we cannot have it made. */
static __always_inline __u64 cookie_of(struct sock *sk, __u32 generation, __u32 slot)
{
	__u64 cookie;

	if (!config.sockets_by_address)
		return bpf_get_socket_cookie(sk);
	cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	return cookie ? cookie : dw_own_cookie(generation, slot);
}

/* That of its slot; by storage, whoever is watched has it before that. */
static __always_inline __u64 known_cookie(const struct sock *sk, const struct dw_ref *ref)
{
	return config.sockets_by_address ? ref->cookie : sk->__sk_common.skc_cookie.counter;
}

/* The TCP socket behind a descriptor, or NULL. By address, it is not to be trusted. */
static __always_inline struct sock *socket_behind(struct file *file)
{
	struct socket *socket;
	struct sock *sk;
	__u16 family;

	if (!config.sockets_by_address) {
		socket = bpf_sock_from_file(file);
		if (!socket || !socket->sk)
			return NULL;
		return (struct sock *)bpf_skc_to_tcp_sock(socket->sk);
	}
	if ((BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	if (!socket || BPF_CORE_READ(socket, type) != SOCK_STREAM)
		return NULL;
	sk = BPF_CORE_READ(socket, sk);
	if (!sk || BPF_CORE_READ_BITFIELD_PROBED(sk, sk_protocol) != IPPROTO_TCP)
		return NULL;
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	return family == AF_INET || family == AF_INET6 ? sk : NULL;
}

#endif
