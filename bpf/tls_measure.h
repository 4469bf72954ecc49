/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What `profile` measures of calls into a TLS library. The probes are attached
 * to the targets' processes alone: whoever comes here is one.
 */
#ifndef DRAINWATCH_TLS_MEASURE_H
#define DRAINWATCH_TLS_MEASURE_H

#include "measure.h"
#include "drainwatch/tls_calls.h"

static __always_inline struct dw_tls_call *tls_call_of(struct reader reader)
{
	struct dw_tls_call *call = bpf_map_lookup_elem(&tls_calls, &reader.tid);

	if (!call) {
		struct dw_tls_call none = {};

		bpf_map_update_elem(&tls_calls, &reader.tid, &none, BPF_NOEXIST);
		call = bpf_map_lookup_elem(&tls_calls, &reader.tid);
	}
	return call;
}

static __always_inline struct dw_tls_session *tls_session_of(__u64 session, __u32 tgid)
{
	struct dw_tls_session_key key = {.session = session, .tgid = tgid};

	return bpf_map_lookup_elem(&tls_sessions, &key);
}

static __always_inline struct dw_tls_session *make_tls_session(__u64 session, __u32 tgid)
{
	struct dw_tls_session_key key = {.session = session, .tgid = tgid};
	struct dw_tls_session none = {};

	bpf_map_update_elem(&tls_sessions, &key, &none, BPF_NOEXIST);
	return bpf_map_lookup_elem(&tls_sessions, &key);
}

/* With --port, only sessions whose socket is watched are meant. */
static __always_inline int tls_session_counts(const struct dw_tls_session *s)
{
	return !config.ports || (s && s->cookie);
}

static __always_inline void begin_tls_call(struct pt_regs *ctx, __u32 kind)
{
	struct reader reader = current_reader();
	struct dw_tls_call *call;
	struct dw_tls_session *s;

	if (ended)
		return;
	call = tls_call_of(reader);
	if (!call)
		return;
	if (!dw_tls_begin(call, kind, ctx->di, ctx->sp, bpf_ktime_get_ns()))
		return;
	if (kind == DW_TLS_HANDSHAKE) {
		s = make_tls_session(call->session, reader.tgid);
		if (s)
			dw_tls_handshake_begin(s, call->began_ns);
	}
}

static __always_inline void end_tls_read(const struct dw_tls_call *call, const struct dw_tls_session *s,
					 __u64 group, __u32 outcome, __u64 now_ns)
{
	switch (outcome) {
	case DW_TLS_DONE:
		record(group, DW_DIST_TLS_READ, dw_later_by(now_ns, call->began_ns), 1);
		if (s && s->arrived_ns && s->taken_ns) {
			record(group, DW_DIST_TLS_LATENCY, dw_later_by(now_ns, s->arrived_ns), 1);
			record(group, DW_DIST_TLS_ABOVE_SOCKET, dw_later_by(now_ns, s->taken_ns), 1);
		}
		break;
	case DW_TLS_AGAIN:
		record(group, DW_DIST_TLS_EMPTY_READS, 0, 1);
		break;
	case DW_TLS_FAILED:
		record(group, DW_DIST_TLS_READ_ERRORS, 0, 1);
		break;
	}
}

static __always_inline void end_tls_handshake(struct dw_tls_session *s, __u64 group, __u32 outcome)
{
	if (!s || !s->handshake_ns || outcome == DW_TLS_AGAIN)
		return;
	if (outcome == DW_TLS_DONE && !dw_tls_was_handshake(s)) {
		s->handshake_ns = 0;
		return;
	}
	record(group, DW_DIST_TLS_HANDSHAKE, dw_tls_handshake_end(s), 1);
	if (outcome != DW_TLS_DONE)
		record(group, DW_DIST_TLS_HANDSHAKE_ERRORS, 0, 1);
}

/* What came of a call on this session is known. */
static __always_inline void end_tls_call(const struct dw_tls_call *call, struct reader reader,
					 __u64 session, __u32 kind, __u32 outcome, __u64 now_ns)
{
	struct dw_tls_session *s = tls_session_of(session, reader.tgid);
	__u64 group = group_of(s ? s->cookie : 0, reader.tgid, reader.tid);

	if (!tls_session_counts(s))
		return;
	if (kind == DW_TLS_READ)
		end_tls_read(call, s, group, outcome, now_ns);
	else if (kind == DW_TLS_HANDSHAKE)
		end_tls_handshake(s, group, outcome);
}

/* The call returns. NULL if it is none that is followed. */
static __always_inline struct dw_tls_call *returning_tls_call(struct pt_regs *ctx, __u32 kind,
							      struct reader reader)
{
	struct dw_tls_call *call = bpf_map_lookup_elem(&tls_calls, &reader.tid);

	if (ended || !call || !dw_tls_returns(call, kind, ctx->sp))
		return NULL;
	return call;
}

static __always_inline void return_tls_call(struct pt_regs *ctx, __u32 kind, __u32 outcome)
{
	__u64 now_ns = bpf_ktime_get_ns();
	struct reader reader = current_reader();
	struct dw_tls_call *call = returning_tls_call(ctx, kind, reader);
	struct dw_tls_session *s;
	__u64 session;

	if (!call)
		return;
	session = call->session;
	call->session = 0;
	if (kind == DW_TLS_HANDSHAKE) {
		s = tls_session_of(session, reader.tgid);
		if (s)
			s->handshake_returned_ns = now_ns;
	}
	if (outcome == DW_TLS_ASK)
		call->failed = session; /* its kind stays */
	else
		end_tls_call(call, reader, session, kind, outcome, now_ns);
}

/* Somebody asks for the error of a session: of which call that was, the thread knows. */
static __always_inline void begin_tls_error(struct pt_regs *ctx)
{
	struct reader reader = current_reader();
	struct dw_tls_call *call = bpf_map_lookup_elem(&tls_calls, &reader.tid);

	if (call && call->failed != ctx->di)
		call->failed = 0;
}

static __always_inline void return_tls_error(struct pt_regs *ctx)
{
	struct reader reader = current_reader();
	struct dw_tls_call *call = bpf_map_lookup_elem(&tls_calls, &reader.tid);
	__u64 session;

	if (ended || !call || !call->failed)
		return;
	session = call->failed;
	call->failed = 0;
	end_tls_call(call, reader, session, call->kind, dw_openssl_error_outcome((__s32)ctx->ax), 0);
}

/* The session ends; a handshake that was under way has failed. */
static __always_inline void free_tls_session(struct pt_regs *ctx)
{
	struct reader reader = current_reader();
	struct dw_tls_session_key key = {.session = ctx->di, .tgid = reader.tgid};
	struct dw_tls_session *s = bpf_map_lookup_elem(&tls_sessions, &key);

	if (ended || !s)
		return;
	if (tls_session_counts(s))
		end_tls_handshake(s, group_of(s->cookie, reader.tgid, reader.tid), DW_TLS_FAILED);
	bpf_map_delete_elem(&tls_sessions, &key);
}

/* A read of the socket is over: if a TLS library made it, the data is a session's. */
static __always_inline void note_tls_read(struct dw_measured_socket *m, struct reader reader,
					  __u64 now_ns)
{
	struct dw_tls_call *call;
	struct dw_tls_session *s;

	if (!tls_traced)
		return;
	call = bpf_map_lookup_elem(&tls_calls, &reader.tid);
	if (!call || !call->session)
		return;
	s = make_tls_session(call->session, reader.tgid);
	if (!s)
		return;
	s->cookie = m->cookie;
	s->arrived_ns = last_byte_ns(m);
	s->taken_ns = now_ns;
}

#endif
