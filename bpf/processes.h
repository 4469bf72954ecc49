/* SPDX-License-Identifier: GPL-2.0 */
/* Which processes are targets: by name, by pid, by descent. */
#ifndef DRAINWATCH_PROCESSES_H
#define DRAINWATCH_PROCESSES_H

#include "maps.h"

#include <bpf/bpf_core_read.h>

struct dw_comm {
	__u64 half[2];
};

static __always_inline int name_wanted(const struct dw_comm *comm)
{
	for (int i = 0; i < DW_MAX_NAMES; i++) {
		const volatile __u64 *name = (const volatile __u64 *)config.name[i];

		if (i >= config.names)
			break;
		if (comm->half[0] == name[0] && comm->half[1] == name[1])
			return 1;
	}
	return 0;
}

static __always_inline void send_process_record(__u32 kind, __u32 pid, __u32 value,
						const struct dw_comm *comm)
{
	struct dw_record record = {
		.kind = kind,
		.slot = DW_NO_SLOT,
		.at_ns = bpf_ktime_get_ns(),
		.value = value,
		.pid = pid,
	};

	__builtin_memcpy(record.comm, comm, sizeof(*comm));
	send_record(&record);
}

/* A target's child is one as well. */
static __always_inline void follow_fork(__u32 parent, struct task_struct *child)
{
	__u32 *flags = bpf_map_lookup_elem(&targets, &parent);
	__u32 tgid = child->tgid;
	__u32 child_flags;
	struct dw_comm comm = {};

	if (!flags)
		return;
	/* a name goes with a fork; a pid does not, but its children are followed */
	child_flags = DW_TARGET_BY_FORK | (*flags & DW_TARGET_BY_NAME);
	bpf_map_update_elem(&targets, &tgid, &child_flags, BPF_ANY);
	bpf_probe_read_kernel_str(&comm, sizeof(comm), child->comm);
	send_process_record(DW_REC_FORK, tgid, parent, &comm);
}

/* The process goes by this name from now on. */
static __always_inline void apply_name(__u32 tgid, const struct dw_comm *comm, int keep_descent)
{
	__u32 *known = bpf_map_lookup_elem(&targets, &tgid);
	__u32 before = known ? *known : 0;
	__u32 flags = before & ~DW_TARGET_BY_NAME;

	if (!keep_descent)
		flags &= ~DW_TARGET_BY_FORK;
	if (name_wanted(comm))
		flags |= DW_TARGET_BY_NAME;
	if (!flags && !before)
		return;
	if (flags)
		bpf_map_update_elem(&targets, &tgid, &flags, BPF_ANY);
	else
		bpf_map_delete_elem(&targets, &tgid);
	send_process_record(DW_REC_EXEC, tgid, flags, comm);
}

static __always_inline void match_name(struct task_struct *task)
{
	struct dw_comm comm = {};

	bpf_probe_read_kernel_str(&comm, sizeof(comm), task->comm);
	apply_name(task->tgid, &comm, 0);
}

static __always_inline void rename_target(struct task_struct *task, const char *name)
{
	struct dw_comm comm = {};

	bpf_probe_read_kernel_str(&comm, sizeof(comm), name);
	apply_name(task->tgid, &comm, 1);
}

static __always_inline void forget_target(struct task_struct *task)
{
	__u32 tgid = task->tgid;
	__u32 *flags = bpf_map_lookup_elem(&targets, &tgid);
	struct dw_comm comm = {};

	if (!flags)
		return;
	bpf_probe_read_kernel_str(&comm, sizeof(comm), task->comm);
	send_process_record(DW_REC_EXIT, tgid, *flags, &comm);
	bpf_map_delete_elem(&targets, &tgid); /* the number may be another's tomorrow */
}

#endif
