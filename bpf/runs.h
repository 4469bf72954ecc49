/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the hooks cost, and what is within them: every run is counted, and one in
 * DW_TIMED_SHARE is timed.
 */
#ifndef DRAINWATCH_RUNS_H
#define DRAINWATCH_RUNS_H

#include "maps.h"

#include <bpf/bpf_tracing.h>

/* CPU -> dw_runs. Written here, each CPU its own. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* set before load: how many CPUs there may be */
	__type(key, __u32);
	__type(value, struct dw_runs);
} runs SEC(".maps");

/* A run that is to be timed: the clock is read twice, to know what reading it takes. */
struct dw_stopwatch {
	__u64 set_ns;
	__u64 began_ns;
};

/* `what`: a dw_hook, or DW_RUNS_STREAMS. */
static __always_inline struct dw_runs *begin_run(__u32 what, struct dw_stopwatch *watch)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct dw_runs *r = bpf_map_lookup_elem(&runs, &cpu);

	if (r && ++r->count[what] % DW_TIMED_SHARE == 0) {
		watch->set_ns = bpf_ktime_get_ns();
		watch->began_ns = bpf_ktime_get_ns();
	}
	return r;
}

static __always_inline void end_run(struct dw_runs *r, __u32 what, const struct dw_stopwatch *watch)
{
	__u64 run_ns, clock_ns;

	if (!r || !watch->began_ns)
		return;
	run_ns = bpf_ktime_get_ns() - watch->began_ns;
	clock_ns = watch->began_ns - watch->set_ns;
	if (run_ns > DW_LONGEST_RUN_NS)
		return;
	r->timed[what].runs++;
	if (run_ns > clock_ns)
		r->timed[what].ns += run_ns - clock_ns;
}

/*
 * An entry point at a tracepoint; what follows is its body, as with BPF_PROG,
 * which tells whether this was an event of a watched socket.
 */
#define DW_ENTRY(name, args...)                                                 \
static __always_inline int on_##name(unsigned long long *ctx, ##args);         \
SEC("tp_btf/" #name) int name(unsigned long long *ctx)                         \
{                                                                               \
	struct dw_stopwatch watch = {};                                         \
	struct dw_runs *r = begin_run(DW_HOOK_##name, &watch);                  \
                                                                                \
	_Pragma("GCC diagnostic push")                                          \
	_Pragma("GCC diagnostic ignored \"-Wint-conversion\"")                  \
	if (on_##name(___bpf_ctx_cast(args)) && r)                              \
		r->watched++;                                                   \
	_Pragma("GCC diagnostic pop")                                           \
	end_run(r, DW_HOOK_##name, &watch);                                     \
	return 0;                                                               \
}                                                                               \
static __always_inline int on_##name(unsigned long long *ctx, ##args)

#endif
