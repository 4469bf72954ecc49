/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the kernel side says about one thread (bpf/cause.bpf.c), at one moment.
 * The user side compiles this too.
 */
#ifndef DRAINWATCH_THREAD_LOOK_H
#define DRAINWATCH_THREAD_LOOK_H

#include <linux/types.h>

#define DW_KERNEL_FRAMES 32
#define DW_RAN_UNKNOWN (~0ULL)

/* Followed by the names of its kernel stack, a line each, innermost first. */
struct dw_thread_look {
	__u32 tid;
	__u32 tgid;
	/*
	 * By the scheduler's clock, 0 where the kernel does not keep it: when the asking
	 * thread was given its CPU; when this one was given one last; since when it waits
	 * for one, 0 if it does not.
	 */
	__u64 asked_ns;
	__u64 arrived_ns;
	__u64 queued_ns;
	__u64 ran_ns; /* how long it has run since it was given that CPU; DW_RAN_UNKNOWN */
	/* As it entered the kernel. For one that runs, as it did so last. */
	__u64 ip;
	__u64 sp;
	__u64 bp;
	__u64 bx;
	__u64 r12;
	__u64 r13;
	__u64 r14;
	__u64 r15;
	__s32 call;         /* number of the system call that it is in, or was in last; DW_NO_CALL */
	__u32 state;        /* as task_struct has it; 0: it runs or could */
	__u32 stop_signal;  /* what stopped it; 0: nothing did */
	__u8 on_cpu;        /* it runs */
	__u8 is_64_bit;     /* else its registers are those of a 32-bit program */
	__u8 pad[2];
};

#endif
