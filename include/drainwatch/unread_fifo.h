/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The FIFO of unread arrivals. No helpers: compiles natively for its tests.
 *
 * When it is full, arrivals that lie close together are merged; the merged one
 * keeps the time of its first and the end of its last. So the oldest unread
 * byte is never lost and never made younger. After a partial read its age may
 * be over-stated, by a third of the queue's own time span at most.
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
	return f->count ? f->entry[f->head & DW_FIFO_MASK].at_ns : 0;
}

static inline __u64 dw_fifo_at_ns(const struct dw_fifo *f, __u32 i)
{
	return f->entry[dw_fifo_index(f, i)].at_ns;
}

/* When the newest unread bytes arrived; there are some. */
static inline __u64 dw_fifo_newest_ns(const struct dw_fifo *f)
{
	return dw_fifo_at_ns(f, f->count - 1u);
}

/*
 * One step of dw_fifo_merge(): entry i becomes one with the last of the `count`
 * that are left of those before it, or is left as well. How many there are then.
 */
static inline __u32 dw_fifo_merge_step(struct dw_fifo *f, __u32 i, __u32 count)
{
	__u64 newest = dw_fifo_at_ns(f, DW_FIFO_LEN - 1);
	__s64 step = (__s64)(newest - dw_fifo_oldest_ns(f)) >> 2;
	__u64 until = i + 1 < DW_FIFO_LEN ? dw_fifo_at_ns(f, i + 1) : newest;
	__u32 from = dw_fifo_index(f, i);
	__u32 kept = dw_fifo_index(f, count - 1);

	if ((__s64)(until - f->entry[kept].at_ns) > step && count < DW_FIFO_LEN - 1) {
		kept = dw_fifo_index(f, count++);
		f->entry[kept].at_ns = f->entry[from].at_ns;
	}
	f->entry[kept].end_seq = f->entry[from].end_seq;
	return count;
}

/*
 * Make room in a full FIFO: neighbours that arrived within a quarter of its
 * time span become one. Any two that are left span more than a quarter, so at
 * most nine are left; were the times not in order, the last would give way.
 */
static inline void dw_fifo_merge(struct dw_fifo *f)
{
	__u32 count = 1;

	for (__u32 i = 1; i < DW_FIFO_LEN; i++)
		count = dw_fifo_merge_step(f, i, count);
	f->count = count;
}

static inline int dw_fifo_is_full(const struct dw_fifo *f)
{
	return f->count >= DW_FIFO_LEN;
}

/* Bytes up to end_seq arrived at at_ns; there is room for it. */
static inline void dw_fifo_append(struct dw_fifo *f, __u32 end_seq, __u64 at_ns)
{
	struct dw_arrival *entry = &f->entry[dw_fifo_index(f, f->count)];

	entry->end_seq = end_seq;
	entry->at_ns = at_ns;
	f->count++;
}

/* Bytes up to end_seq arrived at at_ns. */
static inline void dw_fifo_push(struct dw_fifo *f, __u32 end_seq, __u64 at_ns)
{
	if (dw_fifo_is_full(f))
		dw_fifo_merge(f);
	dw_fifo_append(f, end_seq, at_ns);
}

static inline void dw_fifo_clear(struct dw_fifo *f)
{
	f->head = 0; /* the first entry shares its cache line with what every event needs */
	f->count = 0;
}

/* Forget what lies before copied_seq. */
static inline void dw_fifo_pop(struct dw_fifo *f, __u32 copied_seq)
{
	for (__u32 i = 0; i < DW_FIFO_LEN; i++) {
		if (!f->count)
			return;
		if (dw_seq_before(copied_seq, f->entry[f->head & DW_FIFO_MASK].end_seq))
			return;
		if (f->count == 1) {
			dw_fifo_clear(f);
			return;
		}
		f->head = (f->head + 1) & DW_FIFO_MASK;
		f->count--;
	}
}

#endif
