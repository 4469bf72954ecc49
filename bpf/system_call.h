/* SPDX-License-Identifier: GPL-2.0 */
/* In which system call a task is. */
#ifndef DRAINWATCH_SYSTEM_CALL_H
#define DRAINWATCH_SYSTEM_CALL_H

#include "kernel_types.h"
#include "drainwatch/profile_abi.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#define THREAD_SIZE 16384 /* of the kernel's stack, x86-64 */

/* The task that runs, so that a helper takes it. */
static __always_inline struct task_struct *current_task(void)
{
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_current_task_btf))
		return bpf_get_current_task_btf();
	return (struct task_struct *)bpf_get_current_task();
}

/* What the task's registers were as it entered the kernel. The helper is there since 5.15. */
static __always_inline const struct pt_regs *user_registers(struct task_struct *task)
{
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs))
		return (const struct pt_regs *)bpf_task_pt_regs(task);
	return (const struct pt_regs *)(BPF_CORE_READ(task, stack) + THREAD_SIZE -
					bpf_core_type_size(struct pt_regs));
}

/* Its number, with DW_COMPAT_CALL if the task is a 32-bit program; DW_NO_CALL outside of any. */
static __always_inline __s32 system_call_of(struct task_struct *task)
{
	const struct pt_regs *registers = user_registers(task);
	__s32 number = (__s32)BPF_CORE_READ(registers, orig_ax);

	if (number < 0 || number >= DW_COMPAT_CALL)
		return DW_NO_CALL;
	if (BPF_CORE_READ(task, thread_info.status) & TS_COMPAT)
		number += DW_COMPAT_CALL;
	return number;
}

#endif
