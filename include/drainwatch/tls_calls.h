/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Calls into a TLS library: which return belongs to which call, what came of
 * it, and when the data of a session left its socket. No helpers: compiles
 * natively for its tests.
 *
 * The library is known from outside only: by the arguments and the results of
 * its public functions.
 */
#ifndef DRAINWATCH_TLS_CALLS_H
#define DRAINWATCH_TLS_CALLS_H

#include "drainwatch/profile_abi.h"

enum dw_tls_outcome {
	DW_TLS_DONE,   /* data was read, the handshake is over */
	DW_TLS_AGAIN,  /* not yet: to be called again */
	DW_TLS_END,    /* the peer has closed the session in good order */
	DW_TLS_FAILED,
	DW_TLS_ASK,    /* the library says more only if it is asked for its error */
};

/*
 * SSL_read, SSL_read_ex, SSL_do_handshake: below 1 it is an error or none, and
 * only SSL_get_error tells which. (ssl/ssl_lib.c of OpenSSL 1.0.2 to 3.5.)
 */
static inline __u32 dw_openssl_outcome(__s32 returned)
{
	return returned > 0 ? DW_TLS_DONE : DW_TLS_ASK;
}

#define DW_OPENSSL_ERROR_SSL 1
#define DW_OPENSSL_ERROR_SYSCALL 5
#define DW_OPENSSL_ERROR_ZERO_RETURN 6

/* What SSL_get_error returned; the other codes say for what it has to wait. */
static inline __u32 dw_openssl_error_outcome(__s32 error)
{
	switch (error) {
	case DW_OPENSSL_ERROR_SSL:
	case DW_OPENSSL_ERROR_SYSCALL:
		return DW_TLS_FAILED;
	case DW_OPENSSL_ERROR_ZERO_RETURN:
		return DW_TLS_END;
	default:
		return DW_TLS_AGAIN;
	}
}

/* The codes that gnutls_error_is_fatal() calls not fatal: lib/errors.c of GnuTLS 3.6 to 3.8. */
static inline int dw_gnutls_again(__s32 returned)
{
	switch (returned) {
	case -16:  /* GNUTLS_E_WARNING_ALERT_RECEIVED */
	case -28:  /* GNUTLS_E_AGAIN */
	case -37:  /* GNUTLS_E_REHANDSHAKE */
	case -38:  /* GNUTLS_E_GOT_APPLICATION_DATA */
	case -52:  /* GNUTLS_E_INTERRUPTED */
	case -292: /* GNUTLS_E_HEARTBEAT_PONG_RECEIVED */
	case -293: /* GNUTLS_E_HEARTBEAT_PING_RECEIVED */
		return 1;
	default:
		return 0;
	}
}

static inline __u32 dw_gnutls_outcome(__s64 returned, __u32 kind)
{
	if (returned > 0)
		return DW_TLS_DONE;
	if (!returned) /* a read of nothing is the end of the stream, a handshake's 0 is success */
		return kind == DW_TLS_HANDSHAKE ? DW_TLS_DONE : DW_TLS_END;
	return dw_gnutls_again((__s32)returned) ? DW_TLS_AGAIN : DW_TLS_FAILED;
}

/*
 * The thread calls. One call within another (TLS through TLS) is part of the
 * outer: the stack tells, for it grows downwards. What never returned (a jump
 * out of it) makes place as soon as the thread calls from as far up. Returns
 * whether the call is followed.
 */
static inline int dw_tls_begin(struct dw_tls_call *call, __u32 kind, __u64 session, __u64 stack,
			       __u64 now_ns)
{
	if (!session || (call->session && stack < call->stack))
		return 0;
	call->session = session;
	call->stack = stack;
	call->began_ns = now_ns;
	call->kind = kind;
	call->failed = 0;
	return 1;
}

/* Is this the return of that call? The address to return to is off the stack by now. */
static inline int dw_tls_returns(const struct dw_tls_call *call, __u32 kind, __u64 stack)
{
	return call->session && call->kind == kind && stack == call->stack + sizeof(__u64);
}

/* The thread calls for a handshake: the first time, or once more. */
static inline void dw_tls_handshake_begin(struct dw_tls_session *s, __u64 now_ns)
{
	if (!s->handshake_ns) {
		s->handshake_ns = now_ns;
		s->handshake_calls = 0;
	}
	s->handshake_calls++;
}

/*
 * Such a call has succeeded. Was that a handshake? A call that neither waited
 * for anything nor read the socket found that there was nothing to do.
 */
static inline int dw_tls_was_handshake(const struct dw_tls_session *s)
{
	return s->handshake_ns && (s->handshake_calls > 1 || s->taken_ns >= s->handshake_ns);
}

/* The handshake is over, for good or ill; how long it took, up to the return of its last call. */
static inline __u64 dw_tls_handshake_end(struct dw_tls_session *s)
{
	__u64 began_ns = s->handshake_ns;

	s->handshake_ns = 0;
	return s->handshake_returned_ns > began_ns ? s->handshake_returned_ns - began_ns : 0;
}

#endif
