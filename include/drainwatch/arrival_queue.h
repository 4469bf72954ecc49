/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The segments that wait in a socket, and when they came. No helpers: compiles
 * natively for its tests.
 *
 * When the queue is full, segments that came close together, measured by how
 * long they have waited already, are made one that came at the mean of their
 * times: a mean latency stays exact, and each is off by a 64th of its latency
 * or so. Only if that does not make room, because the segments came over many
 * magnitudes of time, more is merged; then a 32nd, and so on.
 */
#ifndef DRAINWATCH_ARRIVAL_QUEUE_H
#define DRAINWATCH_ARRIVAL_QUEUE_H

#include "drainwatch/profile_abi.h"

#define DW_QUEUE_MASK (DW_QUEUE_LEN - 1)
#define DW_QUEUE_TOLERANCE 6          /* a 64th, as a shift */
#define DW_QUEUE_TOLERANCE_NS 4000    /* closer than this is one time for us */
#define DW_QUEUE_MOST_MERGED (1u << 20) /* in one entry: count times tolerance stays below 2^64 */

static inline struct dw_segments *dw_queue_entry(struct dw_arrival_queue *q, __u32 i)
{
	return &q->entry[(q->head + i) & DW_QUEUE_MASK];
}

static inline void dw_queue_clear(struct dw_arrival_queue *q)
{
	q->head = 0;
	q->count = 0;
	q->coarseness = 0;
}

/* Two neighbours become one. Times are in order: into comes before from. */
static inline void dw_segments_merge(struct dw_segments *into, const struct dw_segments *from)
{
	__u64 apart_ns = from->at_ns > into->at_ns ? from->at_ns - into->at_ns : 0;

	into->at_ns += apart_ns * from->count / (into->count + from->count);
	into->end_seq = from->end_seq;
	into->count += from->count;
}

static inline int dw_segments_close(const struct dw_segments *a, const struct dw_segments *b,
				    __u64 now_ns, __u32 coarseness)
{
	__u64 apart_ns = b->at_ns > a->at_ns ? b->at_ns - a->at_ns : 0;
	__u64 age_ns = now_ns > b->at_ns ? now_ns - b->at_ns : 0;
	__u32 shift = coarseness < DW_QUEUE_TOLERANCE ? DW_QUEUE_TOLERANCE - coarseness : 0;

	/* what came before the measurement stays apart */
	if (!a->at_ns != !b->at_ns || a->count + b->count > DW_QUEUE_MOST_MERGED)
		return 0;
	return apart_ns <= DW_QUEUE_TOLERANCE_NS || apart_ns <= age_ns >> shift;
}

/*
 * To make room: begin, a step for each entry but the first, end. (In steps, for
 * the verifier would follow a loop of this length in all its branches.)
 */
static inline void dw_queue_begin_merge(struct dw_arrival_queue *q)
{
	q->kept = 0;
}

static inline void dw_queue_merge_step(struct dw_arrival_queue *q, __u32 i, __u64 now_ns)
{
	struct dw_segments *last = dw_queue_entry(q, q->kept);
	const struct dw_segments *next = dw_queue_entry(q, i);

	if (dw_segments_close(last, next, now_ns, q->coarseness)) {
		dw_segments_merge(last, next);
	} else {
		q->kept++;
		*dw_queue_entry(q, q->kept) = *next;
	}
}

/* Returns how many segments are not apart from others any more. */
static inline __u32 dw_queue_end_merge(struct dw_arrival_queue *q)
{
	__u32 merged = q->count - (q->kept + 1);

	q->count = q->kept + 1;
	if (q->count > DW_QUEUE_LEN / 8 * 7)
		q->coarseness++;
	return merged;
}

/* A segment that ends at end_seq came at at_ns. There must be room; what finds none joins the last. */
static inline void dw_queue_push(struct dw_arrival_queue *q, __u32 end_seq, __u64 at_ns)
{
	struct dw_segments segment = {.at_ns = at_ns, .end_seq = end_seq, .count = 1};

	if (q->count >= DW_QUEUE_LEN) {
		dw_segments_merge(dw_queue_entry(q, DW_QUEUE_LEN - 1), &segment);
		return;
	}
	*dw_queue_entry(q, q->count) = segment;
	q->count++;
}

/* Does all of the oldest entry lie before copied_seq? */
static inline int dw_queue_can_pop(struct dw_arrival_queue *q, __u32 copied_seq)
{
	return q->count && !dw_seq_before(copied_seq, dw_queue_entry(q, 0)->end_seq);
}

/* Take the oldest entry out, if all of it lies before copied_seq; 0 if not. */
static inline int dw_queue_pop(struct dw_arrival_queue *q, __u32 copied_seq,
			       struct dw_segments *taken)
{
	if (!dw_queue_can_pop(q, copied_seq))
		return 0;
	*taken = *dw_queue_entry(q, 0);
	q->head = (q->head + 1) & DW_QUEUE_MASK;
	q->count--;
	if (!q->count)
		q->coarseness = 0;
	return 1;
}

#endif
