/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The maps that lead from a socket to its slot: `profile` looks into those of the
 * watch that it stands on.
 */
#ifndef DRAINWATCH_SOCKET_MAPS_H
#define DRAINWATCH_SOCKET_MAPS_H

/* bpf_helpers.h needs the types first */
#include "kernel_types.h"

#include <bpf/bpf_helpers.h>

#include "drainwatch/abi.h"

/* The configuration, written before load. */
const volatile struct dw_config config = {};

/*
 * What is known of a watched socket: which slot is its own. In socket storage a
 * listener's is copied to the connections it gives birth to (BPF_F_CLONE),
 * whose first event adopts it.
 */
struct dw_ref {
	__u64 self;   /* the socket it was made for; another one's is a copy */
	__u64 cookie; /* that of the slot; 0 without one */
	__u32 slot;   /* DW_NO_SLOT for a listener, and for a connection that has none yet */
	__u32 owner_tgid;
	__u16 listens_on; /* a listener's port, by which it is in `listeners`; 0 for a connection */
	__u8 turned_away; /* is not followed, and was counted as such */
	__u8 alert_bytes; /* dw_tls::alert_bytes of the slot that it gave back */
	__u8 pad[4];
};

/*
 * sock -> dw_ref, unless config.sockets_by_address. Written here; freed with
 * the socket. A failure is counted.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct dw_ref);
} sockets SEC(".maps");

/*
 * Address of a sock -> dw_ref, if config.sockets_by_address. Written here;
 * deleted as the socket is destroyed. Full: the socket is not watched, and counted.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); /* set before load: one for each slot and each listener */
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct dw_ref);
} sockets_by_address SEC(".maps");

/*
 * slot -> the truth about its socket. Written here under the socket's lock,
 * mapped by the user side.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* set before load: the number of slots */
	__type(key, __u32);
	__type(value, struct dw_slot);
} slots SEC(".maps");

/*
 * Low bits of a cookie -> the slot of the last socket that had them: a hint,
 * for the slot itself has the whole cookie. Written here as a slot is taken;
 * of two sockets in one place, the earlier is found by its storage. Its size is
 * a constant: read from the configuration, it would be waited for.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, DW_INDEX_PLACES);
	__type(key, __u32);
	__type(value, __u32);
} slot_index SEC(".maps");

#endif
