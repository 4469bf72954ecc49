/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The FIFO of unread arrivals. No helpers: compiles natively for its tests.
 *
 * When it is full, neighbours are merged in pairs: the pair keeps the time of
 * its older half. So the oldest unread byte is never lost and never made
 * younger; after a partial read its age may be over-stated by at most the
 * distance of two entries, which is about an eighth of the queue's time span.
 */
#ifndef DRAINWATCH_UNREAD_FIFO_H
#define DRAINWATCH_UNREAD_FIFO_H

#include "drainwatch/abi.h"

#define DW_FIFO_MASK (DW_FIFO_LEN - 1)

static inline __u32 dw_fifo_index(const struct dw_fifo *f, __u32 i)
{
	return (f->head + i) & DW_FIFO_MASK;
}

/* When the oldest unread byte arrived; 0 when there is none. */
static inline __u64 dw_fifo_oldest_ns(const struct dw_fifo *f)
{
	return f->count ? f->arrived_ns[f->head & DW_FIFO_MASK] : 0;
}

/* Halve a full FIFO. */
static inline void dw_fifo_merge(struct dw_fifo *f)
{
	for (__u32 i = 0; i < DW_FIFO_LEN / 2; i++) {
		__u32 to = dw_fifo_index(f, i);

		f->arrived_ns[to] = f->arrived_ns[dw_fifo_index(f, 2 * i)];
		f->end_seq[to] = f->end_seq[dw_fifo_index(f, 2 * i + 1)];
	}
	f->count = DW_FIFO_LEN / 2;
}

/* Bytes up to end_seq arrived at arrived_ns. */
static inline void dw_fifo_push(struct dw_fifo *f, __u32 end_seq, __u64 arrived_ns)
{
	__u32 at;

	if (f->count >= DW_FIFO_LEN)
		dw_fifo_merge(f);
	at = dw_fifo_index(f, f->count);
	f->end_seq[at] = end_seq;
	f->arrived_ns[at] = arrived_ns;
	f->count++;
}

/* Forget what lies before copied_seq. */
static inline void dw_fifo_pop(struct dw_fifo *f, __u32 copied_seq)
{
	for (__u32 i = 0; i < DW_FIFO_LEN; i++) {
		if (!f->count || dw_seq_before(copied_seq, f->end_seq[f->head & DW_FIFO_MASK]))
			return;
		f->head = (f->head + 1) & DW_FIFO_MASK;
		f->count--;
	}
}

#endif
