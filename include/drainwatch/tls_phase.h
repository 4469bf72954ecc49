/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which bytes of a connection's streams are wanted. No helpers: compiles
 * natively for its tests.
 *
 * The user side says when a handshake is past, by writing the round it speaks
 * of: what it says of an earlier socket in the same slot means nothing to the
 * next one.
 */
#ifndef DRAINWATCH_TLS_PHASE_H
#define DRAINWATCH_TLS_PHASE_H

#include "drainwatch/abi.h"

#define DW_TLS_ROUNDS 255
#define DW_TLS_GLIMPSES 16     /* segments of an old connection, of both directions */
#define DW_TLS_HEADER_BYTES 5 /* of a record */

/* Of the handshake that a socket begins with. */
static inline __u8 dw_tls_first_round(const struct dw_slot *s)
{
	return 1 + s->generation % DW_TLS_ROUNDS;
}

static inline void dw_tls_begin(struct dw_slot *s)
{
	s->tls.round = dw_tls_first_round(s);
	s->tls.settled = 0;
	s->tls.alert_bytes = 0;
	s->tls.glimpses = 0;
}

/*
 * TLS begins here, in the middle of the streams. The next round is that of the
 * slot's next socket: half the way round is far from both.
 */
static inline void dw_tls_begin_here(struct dw_slot *s, __u32 received_from, __u32 sent_from)
{
	__u8 earlier = s->tls.round ? s->tls.round : dw_tls_first_round(s);

	s->received_from = received_from;
	s->sent_from = sent_from;
	s->tls.alert_bytes = 0;
	s->tls.glimpses = 0;
	s->tls.round = 1 + (earlier + DW_TLS_ROUNDS / 2) % DW_TLS_ROUNDS;
}

/* The connection was there before: its handshake is past. */
static inline void dw_tls_begin_late(struct dw_slot *s)
{
	s->tls.round = 0;
	s->tls.settled = 0;
	s->tls.alert_bytes = 0;
	s->tls.glimpses = DW_TLS_GLIMPSES;
}

/*
 * The socket had a slot before and has one again, or its beginning was not seen:
 * alert_bytes is what its alerts are known by, or 0.
 */
static inline void dw_tls_keep_alerts(struct dw_slot *s, __u8 alert_bytes)
{
	if (s->tls.round || !alert_bytes)
		return;
	s->tls.alert_bytes = alert_bytes;
	s->tls.glimpses = 0;
}

/* Never without its beginning, whatever was said of an earlier socket too late. */
static inline int dw_tls_in_handshake(const struct dw_tls *tls)
{
	return tls->round && tls->round != tls->settled;
}

/* Might anything be wanted of a segment? One comparison, for nearly none is. */
static inline int dw_tls_wants(const struct dw_tls *tls)
{
	return dw_tls_in_handshake(tls) || tls->alert_bytes || tls->glimpses;
}

/* How many bytes of this segment are wanted, and as which part; 0: none. */
static inline __u32 dw_tls_part(struct dw_tls *tls, __u32 offset, __u32 segment_bytes, __u8 *part)
{
	if (dw_tls_in_handshake(tls)) {
		*part = DW_PART_HANDSHAKE;
		if (offset >= DW_STREAM_WINDOW)
			return 0;
		return segment_bytes < DW_STREAM_WINDOW - offset ? segment_bytes
								 : DW_STREAM_WINDOW - offset;
	}
	if (segment_bytes <= DW_TLS_HEADER_BYTES)
		return 0;
	if (tls->glimpses) {
		tls->glimpses--;
		*part = DW_PART_GLIMPSE;
		return DW_TLS_HEADER_BYTES;
	}
	*part = DW_PART_ALERT;
	return segment_bytes == tls->alert_bytes ? DW_TLS_HEADER_BYTES : 0;
}

#endif
