/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How hooks run, and what that costs: every run is counted, and one in
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

/* What became of an event. */
enum dw_outcome {
	DW_OTHER,   /* what is not counted as an event of a watched socket */
	DW_WATCHED, /* what is */
	DW_REST,    /* of a DW_FRONT: nothing has been done, DW_REST_OF is to do it all */
};

/* Those of this CPU. */
static __always_inline struct dw_runs *runs_here(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&runs, &cpu);
}

/*
 * A run of `what`, a dw_hook or a part of one, begins. If it is to be timed, the
 * clock is read twice, to know what that takes. Else *watch is left as it is: 0.
 */
static __always_inline void begin_run(struct dw_runs *r, __u32 what, struct dw_stopwatch *watch)
{
	__u64 set_ns;

	if (++r->count[what] % DW_TIMED_SHARE)
		return;
	set_ns = bpf_ktime_get_ns();
	watch->began_ns = bpf_ktime_get_ns();
	watch->clock_ns = watch->began_ns - set_ns;
}

static __always_inline void end_run(struct dw_runs *r, __u32 what, struct dw_stopwatch *watch)
{
	struct dw_timed *timed = &r->timed[what];
	__u64 run_ns;

	if (!watch->began_ns)
		return;
	run_ns = bpf_ktime_get_ns() - watch->began_ns;
	watch->began_ns = 0;
	if (run_ns > DW_LONGEST_RUN_NS)
		return;
	timed->runs++;
	if (run_ns > watch->clock_ns)
		timed->ns += run_ns - watch->clock_ns;
}

/* Of a hook, from its first program to its last: begun here, ended there. */
static __always_inline struct dw_runs *begin_hook(__u32 hook)
{
	struct dw_runs *r = runs_here();

	if (r)
		begin_run(r, hook, &r->under_way[hook]);
	return r;
}

static __always_inline void end_hook(struct dw_runs *r, __u32 hook, enum dw_outcome outcome)
{
	if (!r)
		return;
	if (outcome == DW_WATCHED)
		r->watched++;
	end_run(r, hook, &r->under_way[hook]);
}

/* The outcome of f, called with a tracepoint's arguments as BPF_PROG does. */
#define DW_OUTCOME(f, args...)                                                  \
	_Pragma("GCC diagnostic push")                                          \
	_Pragma("GCC diagnostic ignored \"-Wint-conversion\"")                  \
	enum dw_outcome outcome = f(___bpf_ctx_cast(args));                     \
	_Pragma("GCC diagnostic pop")

/*
 * An entry point at a tracepoint; what follows is its body, as with BPF_PROG,
 * which gives a dw_outcome.
 */
#define DW_ENTRY(name, args...)                                                 \
static __always_inline enum dw_outcome on_##name(unsigned long long *ctx, ##args); \
SEC("tp_btf/" #name) int name(unsigned long long *ctx)                         \
{                                                                               \
	struct dw_runs *r = begin_hook(DW_HOOK_##name);                         \
	DW_OUTCOME(on_##name, args)                                             \
                                                                                \
	end_hook(r, DW_HOOK_##name, outcome);                                   \
	return 0;                                                               \
}                                                                               \
static __always_inline enum dw_outcome on_##name(unsigned long long *ctx, ##args)

/*
 * An entry point of two programs. The front does what is needed for an event that
 * is not watched, and for nearly every other; if it says DW_REST, DW_REST_OF(name)
 * does that event from the beginning. Fronts are small and loaded one after the
 * other, so that they share pages of text: where the TLB is empty, a page more
 * costs more than all that is done in it. A tail call does not return, unless
 * there is no rest, which only is so as the process ends.
 */
#define DW_FRONT(name, args...)                                                 \
struct {                                                                        \
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);                                  \
	__uint(max_entries, 1); /* the rest, put there after load */            \
	__type(key, __u32);                                                     \
	__type(value, __u32);                                                   \
} rest_of_##name SEC(".maps");                                                  \
static __always_inline enum dw_outcome front_##name(unsigned long long *ctx, ##args); \
SEC("tp_btf/" #name) int name(unsigned long long *ctx)                         \
{                                                                               \
	struct dw_runs *r = begin_hook(DW_HOOK_##name);                         \
	DW_OUTCOME(front_##name, args)                                          \
                                                                                \
	if (outcome == DW_REST)                                                 \
		bpf_tail_call_static(ctx, &rest_of_##name, 0);                  \
	end_hook(r, DW_HOOK_##name, outcome);                                   \
	return 0;                                                               \
}                                                                               \
static __always_inline enum dw_outcome front_##name(unsigned long long *ctx, ##args)

/* Another section than the front's, so that it is loaded after all of them. */
#define DW_REST_OF(name, args...)                                               \
static __always_inline enum dw_outcome rest_##name(unsigned long long *ctx, ##args); \
SEC("?tp_btf/" #name) int name##_rest(unsigned long long *ctx)                 \
{                                                                               \
	struct dw_runs *r = runs_here();                                        \
	DW_OUTCOME(rest_##name, args)                                           \
                                                                                \
	end_hook(r, DW_HOOK_##name, outcome);                                   \
	return 0;                                                               \
}                                                                               \
static __always_inline enum dw_outcome rest_##name(unsigned long long *ctx, ##args)

#endif
