/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a reading thread does while data waits for it: which parts of a latency
 * are whose, and how long it ran, could not run, or slept. No helpers: compiles
 * natively for its tests. Time is a parameter.
 */
#ifndef DRAINWATCH_READER_THREAD_H
#define DRAINWATCH_READER_THREAD_H

#include "drainwatch/profile_abi.h"

#define DW_RUNS_MASK (DW_RUNS_LEN - 1)

static inline __u64 dw_later_by(__u64 later_ns, __u64 earlier_ns)
{
	return later_ns > earlier_ns ? later_ns - earlier_ns : 0;
}

/* Time that is to be recorded for the state it is in, since the last time that this was asked. */
static inline __u64 dw_thread_settle(struct dw_thread *t, __u64 now_ns)
{
	__u64 waited_ns = t->unread > 0 ? dw_later_by(now_ns, t->since_ns) : 0;

	t->since_ns = now_ns;
	return t->state == DW_THREAD_ENDED ? 0 : waited_ns;
}

/* It is seen for the first time, as it runs. */
static inline void dw_thread_begin(struct dw_thread *t, __u64 now_ns)
{
	t->state = DW_THREAD_RUNNING;
	t->call = DW_NO_CALL;
	t->since_ns = now_ns;
	t->known_since_ns = now_ns;
	t->kernel_stack = -1;
	t->user_stack = -1;
}

/* It leaves the CPU: to sleep, because it ended, or to stay runnable. To be settled before. */
static inline void dw_thread_leave(struct dw_thread *t, __u64 now_ns, __u32 state, __s32 call)
{
	t->state = state;
	t->call = state == DW_THREAD_SLEEPING ? call : DW_NO_CALL;
	t->off.out_ns = now_ns;
	t->off.wake_ns = state == DW_THREAD_SLEEPING ? 0 : now_ns;
}

/* It is woken. To be settled before. Of several wakings, the first one counts. */
static inline void dw_thread_wake(struct dw_thread *t, __u64 now_ns)
{
	if (t->state != DW_THREAD_SLEEPING)
		return;
	t->state = DW_THREAD_RUNNABLE;
	t->call = DW_NO_CALL;
	t->off.wake_ns = now_ns;
}

/* It gets a CPU. To be settled before. */
static inline void dw_thread_enter(struct dw_thread *t, __u64 now_ns)
{
	struct dw_run *run = &t->run[t->runs & DW_RUNS_MASK];

	if (!t->off.out_ns) {
		/* it was off the CPU already when it was first seen */
		t->known_since_ns = now_ns;
	} else {
		if (t->runs >= DW_RUNS_LEN)
			t->known_since_ns = run->in_ns;
		run->out_ns = t->off.out_ns;
		run->wake_ns = t->off.wake_ns ? t->off.wake_ns : now_ns;
		run->in_ns = now_ns;
		t->runs++;
	}
	t->off.out_ns = 0;
	t->off.wake_ns = 0;
	t->state = DW_THREAD_RUNNING;
	t->call = DW_NO_CALL;
}

/* How many of the remembered runs had begun by this time. They are in order. */
static inline __u32 dw_thread_runs_until(const struct dw_thread *t, __u64 at_ns)
{
	__u32 kept = t->runs < DW_RUNS_LEN ? t->runs : DW_RUNS_LEN;
	__u32 oldest = t->runs - kept;
	__u32 begun = 0;

	for (__u32 step = DW_RUNS_LEN; step; step >>= 1) {
		__u32 last = (oldest + begun + step - 1) & DW_RUNS_MASK;

		if (begun + step <= kept && t->run[last].in_ns <= at_ns)
			begun += step;
	}
	return begun;
}

/* The parts of a latency, ns. Those that it does not have are 0; either `unattributed` is, or all others are. */
struct dw_parts {
	__u64 wakeup;
	__u64 schedule;
	__u64 application;
	__u64 unattributed;
};

/* Data came at arrived_ns, and the thread, which runs now, has read it. */
static inline struct dw_parts dw_thread_split(const struct dw_thread *t, __u64 arrived_ns,
					      __u64 now_ns)
{
	__u64 latency_ns = dw_later_by(now_ns, arrived_ns);
	__u32 kept = t->runs < DW_RUNS_LEN ? t->runs : DW_RUNS_LEN;
	struct dw_parts parts = {};
	const struct dw_run *run;
	__u32 begun;

	if (arrived_ns < t->known_since_ns) {
		parts.unattributed = latency_ns;
		return parts;
	}
	begun = dw_thread_runs_until(t, arrived_ns);
	run = &t->run[(t->runs - kept + begun) & DW_RUNS_MASK];
	if (begun == kept || arrived_ns < run->out_ns) {
		parts.application = latency_ns; /* it was running */
		return parts;
	}
	parts.wakeup = dw_later_by(run->wake_ns, arrived_ns);
	parts.schedule = run->in_ns - arrived_ns - parts.wakeup;
	parts.application = latency_ns - parts.wakeup - parts.schedule;
	return parts;
}

#endif
