/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which listener gives birth to a connection: looked for as the kernel does
 * (__inet_lookup_listener), from the narrowest address to the widest. No
 * helpers: compiles natively for its tests.
 */
#ifndef DRAINWATCH_LISTENER_KEY_H
#define DRAINWATCH_LISTENER_KEY_H

#include <linux/types.h>

/* Where a listener listens; IPv4 as a mapped address (::ffff:a.b.c.d), whatever the family. */
struct dw_listener_key {
	__u32 address[4]; /* network order */
	__u32 netns;      /* inode number of the network namespace */
	__u32 port;       /* host order */
};

/* Third word of a mapped address, in network order. */
#define DW_MAPPED_PREFIX __builtin_bswap32(0xffffu)

/* Exact address, any IPv4 address, any address. */
#define DW_LISTENER_STEPS 3

static inline void dw_listener_set_v4(struct dw_listener_key *key, __u32 address)
{
	key->address[0] = 0;
	key->address[1] = 0;
	key->address[2] = DW_MAPPED_PREFIX;
	key->address[3] = address;
}

static inline int dw_listener_is_v4(const struct dw_listener_key *key)
{
	return !key->address[0] && !key->address[1] && key->address[2] == DW_MAPPED_PREFIX;
}

/* The next wider address at which a listener may be; 0 if there is none. */
static inline int dw_listener_widen(struct dw_listener_key *key)
{
	if (dw_listener_is_v4(key) && key->address[3]) {
		key->address[3] = 0;
		return 1;
	}
	if (!key->address[0] && !key->address[1] && !key->address[2] && !key->address[3])
		return 0;
	key->address[0] = 0;
	key->address[1] = 0;
	key->address[2] = 0;
	key->address[3] = 0;
	return 1;
}

#endif
