/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Log-linear buckets: 32 to the octave, so the middle of a bucket is within
 * 1.6 % of all that is in it; below 64 each value has its own. The unit is that
 * of the value: ns, bytes. For both sides.
 */
#ifndef DRAINWATCH_HISTOGRAM_H
#define DRAINWATCH_HISTOGRAM_H

#include <linux/types.h>

#define DW_SUB_BITS 5
#define DW_SUB_BUCKETS (1u << DW_SUB_BITS)

/* Position of the highest bit that is set; value is not 0. (No builtin: BPF has no such instruction.) */
static inline __u32 dw_log2(__u64 value)
{
	__u32 log = 0;

	for (__u32 bits = 32; bits; bits >>= 1) {
		if (value >> bits) {
			value >>= bits;
			log += bits;
		}
	}
	return log;
}

static inline __u32 dw_bucket_of(__u64 value)
{
	__u32 shift;

	if (value < 2 * DW_SUB_BUCKETS)
		return (__u32)value;
	shift = dw_log2(value) - DW_SUB_BITS;
	return shift * DW_SUB_BUCKETS + (__u32)(value >> shift);
}

/* The least value of a bucket. */
static inline __u64 dw_bucket_lower(__u32 bucket)
{
	__u32 shift;

	if (bucket < 2 * DW_SUB_BUCKETS)
		return bucket;
	shift = bucket / DW_SUB_BUCKETS - 1;
	return (__u64)(bucket - shift * DW_SUB_BUCKETS) << shift;
}

/* How many values a bucket is wide. */
static inline __u64 dw_bucket_width(__u32 bucket)
{
	return bucket < 2 * DW_SUB_BUCKETS ? 1 : 1ULL << (bucket / DW_SUB_BUCKETS - 1);
}

#endif
