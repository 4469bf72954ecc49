// SPDX-License-Identifier: GPL-2.0
/*
 * What a thread is doing: its state, its registers, its kernel stack. Iterators,
 * run when a warning is due; nothing is attached meanwhile.
 */
#include "system_call.h"
#include "drainwatch/thread_look.h"

#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

#define USER_CS_64 0x33
#define STOP_SIGNAL_MASK 0xffff /* JOBCTL_STOP_SIGMASK */
#define MAX_RT_PRIO 100
#define TASK_UNINTERRUPTIBLE 0x2
#define TASK_NOLOAD 0x400 /* it idles */
#define TASK_FROZEN 0x8000 /* 6.1; what it waited in before is not told */

/* Written by the user side before each look. */
__u32 wanted_tid = 0;
__u32 wanted_tgid = 0;

/* Of the look that is under way: there is one at a time. */
__u64 kernel_frames[DW_KERNEL_FRAMES] = {};

static __always_inline __u32 state_of(struct task_struct *task)
{
	const struct task_struct___old *old = (const struct task_struct___old *)task;

	if (bpf_core_field_exists(task->__state))
		return BPF_CORE_READ(task, __state);
	return BPF_CORE_READ(old, state);
}

static __always_inline void read_scheduling(struct dw_thread_look *look, struct task_struct *task)
{
	struct task_struct *self = (struct task_struct *)bpf_get_current_task();

	look->ran_ns = DW_RAN_UNKNOWN;
	if (task->prio >= MAX_RT_PRIO)
		look->ran_ns = task->se.sum_exec_runtime - task->se.prev_sum_exec_runtime;
	if (!bpf_core_field_exists(task->sched_info.last_arrival))
		return;
	look->asked_ns = BPF_CORE_READ(self, sched_info.last_arrival);
	look->arrived_ns = BPF_CORE_READ(task, sched_info.last_arrival);
	look->queued_ns = BPF_CORE_READ(task, sched_info.last_queued);
}

/* Has it a CPU just now? Who could run, and does not wait for one, has. An int up to 7.1. */
static __always_inline int runs(const struct dw_thread_look *look, struct task_struct *task)
{
	if (bpf_core_field_exists(task->on_cpu))
		return BPF_CORE_READ_BITFIELD_PROBED(task, on_cpu) != 0;
	return !look->state && !look->queued_ns;
}

static __always_inline void read_registers(struct dw_thread_look *look, struct task_struct *task)
{
	const struct pt_regs *registers = user_registers(task);

	look->ip = BPF_CORE_READ(registers, ip);
	look->sp = BPF_CORE_READ(registers, sp);
	look->bp = BPF_CORE_READ(registers, bp);
	look->bx = BPF_CORE_READ(registers, bx);
	look->r12 = BPF_CORE_READ(registers, r12);
	look->r13 = BPF_CORE_READ(registers, r13);
	look->r14 = BPF_CORE_READ(registers, r14);
	look->r15 = BPF_CORE_READ(registers, r15);
	look->is_64_bit = (BPF_CORE_READ(registers, cs) & 0xffff) == USER_CS_64;
	look->call = system_call_of(task);
}

/* The kernel names the places itself: its list of symbols is not for everyone to read. */
static __always_inline void write_kernel_stack(struct seq_file *seq, struct task_struct *task)
{
	long bytes = bpf_get_task_stack(task, kernel_frames, sizeof(kernel_frames), 0);

	for (__u32 i = 0; i < DW_KERNEL_FRAMES; i++) {
		if ((long)(i * sizeof(__u64)) >= bytes)
			break;
		BPF_SEQ_PRINTF(seq, "%pB\n", kernel_frames[i]);
	}
}

SEC("iter/task")
int look_at_thread(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct dw_thread_look look = {};

	if (!task || (__u32)task->pid != wanted_tid)
		return 0;
	look.tid = task->pid;
	look.tgid = task->tgid;
	look.state = state_of(task);
	look.stop_signal = task->jobctl & STOP_SIGNAL_MASK;
	read_scheduling(&look, task);
	look.on_cpu = runs(&look, task);
	read_registers(&look, task);
	bpf_seq_write(ctx->meta->seq, &look, sizeof(look));
	if (!look.on_cpu)
		write_kernel_stack(ctx->meta->seq, task);
	return 0;
}

/* Of each thread of a process, whether nothing but what it waits for wakes it. */
SEC("iter/task")
int find_hanging(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	__u32 state;
	__u8 hangs;

	if (!task || (__u32)task->tgid != wanted_tgid)
		return 0;
	state = state_of(task);
	hangs = (state & (TASK_UNINTERRUPTIBLE | TASK_NOLOAD)) == TASK_UNINTERRUPTIBLE ||
		(state & TASK_FROZEN);
	bpf_seq_write(ctx->meta->seq, &hangs, sizeof(hangs));
	return 0;
}
