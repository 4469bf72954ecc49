/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The receive window of a TCP socket, as the kernel computes it.
 *
 * One pure header, in C that also compiles as C++ and for BPF: no helpers, no
 * division by a variable, no state. Sequence numbers are u32 and wrap; they
 * are compared by signed difference (RFC 9293, section 3.4).
 *
 * Sources (net/ipv4/tcp_output.c, include/net/tcp.h):
 *   dw_win_from_space   tcp_win_from_space()   scaling_ratio since 6.5, tcp_adv_win_scale before
 *   dw_window_current   tcp_receive_window()   what the peer may still send
 *   dw_window_selected  __tcp_select_window()  what the kernel would like to announce
 *   dw_window_next      tcp_select_window()    what the next ACK will announce
 */
#ifndef DRAINWATCH_TCP_WINDOW_H
#define DRAINWATCH_TCP_WINDOW_H

#include <linux/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DW_RCVBUF_LOCKED 0x1u  /* SO_RCVBUF was set: no autotuning (SOCK_RCVBUF_LOCK) */
#define DW_SHRINK_WINDOW 0x2u  /* net.ipv4.tcp_shrink_window is on (6.5+) */
#define DW_SCALING_RATIO 0x4u  /* the kernel has tcp_sock.scaling_ratio (6.5+) */
#define DW_WINDOW_UNKNOWN 0x8u /* only rcv_nxt and copied_seq are known */

/* The kernel's own fields, raw. Sizes in bytes. */
struct dw_window {
	__u32 rcv_nxt;      /* next sequence number expected; includes a received FIN */
	__u32 copied_seq;   /* head of what the application has not read */
	__u32 rcv_wup;      /* rcv_nxt when the last window was announced */
	__u32 rcv_wnd;      /* the window announced then */
	__u32 window_clamp; /* largest window ever to announce */
	__u32 rcv_ssthresh; /* current limit of the window */
	__s32 rcvbuf;       /* sk_rcvbuf */
	__s32 rmem;         /* sk_rmem_alloc: truesize, out-of-order data included */
	__s32 backlog;      /* sk_backlog.len */
	__s32 rmem_max;     /* net.ipv4.tcp_rmem[2]: how far an unlocked rcvbuf may grow */
	__u16 rcv_mss;      /* icsk_ack.rcv_mss: estimate of the peer's segment size */
	__u8 rcv_wscale;    /* window scale we announced, 0 to 14 */
	__u8 scaling_ratio; /* payload per truesize in 1/256; valid with DW_SCALING_RATIO */
	__s8 adv_win_scale; /* net.ipv4.tcp_adv_win_scale, -31 to 31; used otherwise */
	__u8 flags;         /* DW_RCVBUF_LOCKED, ... */
	__u8 urgent;        /* the oldest unread byte is urgent data: it stays for EPOLLPRI */
	__u8 pad;
};

/* a before b in sequence space */
static inline int dw_seq_before(__u32 a, __u32 b)
{
	return (__s32)(a - b) < 0;
}

static inline __s64 dw_min(__s64 a, __s64 b)
{
	return a < b ? a : b;
}

static inline __s64 dw_max(__s64 a, __s64 b)
{
	return a > b ? a : b;
}

/* Round up to a multiple of 1 << shift. */
static inline __s64 dw_align(__s64 x, __u8 shift)
{
	__s64 mask = (1LL << shift) - 1;

	return (x + mask) & ~mask;
}

/* Recv-Q as ss shows it: an unread FIN counts 1, out-of-order data does not count. */
static inline __u32 dw_recv_queue(const struct dw_window *w)
{
	__u32 queued = w->rcv_nxt - w->copied_seq;

	/* copied_seq may be read an instant after rcv_nxt: never a queue of 4 GiB */
	return dw_seq_before(w->rcv_nxt, w->copied_seq) ? 0 : queued;
}

/* Bytes of window that `space` bytes of buffer are good for; negative where space is. */
static inline __s64 dw_win_from_space(const struct dw_window *w, __s64 space)
{
	if (w->flags & DW_SCALING_RATIO)
		return (space * w->scaling_ratio) >> 8;
	if (w->adv_win_scale <= 0)
		return space >> (-w->adv_win_scale & 31);
	return space - (space >> (w->adv_win_scale & 31));
}

/* Window for an empty buffer, before the clamp. */
static inline __s64 dw_window_allowed(const struct dw_window *w)
{
	return dw_win_from_space(w, w->rcvbuf);
}

/* A full segment, or all that the window can ever be: __tcp_select_window(). */
static inline __s64 dw_window_mss(const struct dw_window *w)
{
	return dw_min(w->rcv_mss, dw_min(w->window_clamp, dw_window_allowed(w)));
}

/* Below this much free window the kernel selects zero. */
static inline __s64 dw_window_floor(const struct dw_window *w)
{
	return dw_max(dw_window_allowed(w) >> 4, dw_window_mss(w));
}

/* What the peer may still send under the last announcement. */
static inline __u32 dw_window_current(const struct dw_window *w)
{
	__s32 left = (__s32)(w->rcv_wup + w->rcv_wnd - w->rcv_nxt);

	return left > 0 ? (__u32)left : 0;
}

/* Was the last announcement zero, as the peer read it? */
static inline int dw_announced_zero(const struct dw_window *w)
{
	return !(w->rcv_wnd >> (w->rcv_wscale & 15));
}

/* What the kernel would announce if a window could be taken back; 0 is "wants zero". */
static inline __u32 dw_window_selected(const struct dw_window *w)
{
	__s64 space = (__s64)w->rcvbuf - w->backlog - w->rmem;
	__s64 free_space = dw_win_from_space(w, space);
	__s64 allowed = dw_window_allowed(w);
	__s64 full = dw_min(w->window_clamp, allowed);
	__s64 mss = dw_min(w->rcv_mss, full);
	__u8 shift = w->rcv_wscale & 15;

	if (mss <= 0)
		return 0;
	if ((w->flags & DW_SHRINK_WINDOW) && shift)
		free_space &= ~((1LL << shift) - 1);
	if (free_space < (full >> 1)) {
		free_space &= ~((1LL << shift) - 1);
		if (free_space < (allowed >> 4) || free_space < mss)
			return 0;
	}
	free_space = dw_min(free_space, w->rcv_ssthresh);
	if (shift)
		return (__u32)dw_align(free_space, shift);
	/* unscaled: keep the announced window while it is within one mss of the free space */
	if ((__s64)w->rcv_wnd <= free_space - mss || (__s64)w->rcv_wnd > free_space)
		return (__u32)free_space - (__u32)free_space % (__u32)mss;
	if (mss == full && free_space > (__s64)w->rcv_wnd + (full >> 1))
		return (__u32)free_space;
	return w->rcv_wnd;
}

/*
 * What the next ACK will announce: the headroom. A window once announced is not
 * taken back, unless tcp_shrink_window says so.
 */
static inline __u32 dw_window_next(const struct dw_window *w)
{
	__u32 current = dw_window_current(w);
	__u32 selected = dw_window_selected(w);

	if (selected >= current || ((w->flags & DW_SHRINK_WINDOW) && w->rcv_wscale))
		return selected;
	return (__u32)dw_align(current, w->rcv_wscale & 15);
}

/*
 * Is the reader told of its unread bytes? Not before there are SO_RCVLOWAT of
 * them, unless a FIN is in or the kernel runs short: tcp_epollin_ready(),
 * tcp_data_ready(), tcp_rmem_pressure() (include/net/tcp.h, 6.18; host-wide
 * memory pressure is left out). Nor of an urgent byte that lies alone at the
 * head, read by MSG_OOB or not: tcp_poll() (SO_OOBINLINE is left out).
 */
static inline int dw_reader_is_told(const struct dw_window *w, __u32 unread, __u32 rcvlowat,
				    int fin)
{
	if (unread <= w->urgent)
		return 0;
	return unread - w->urgent >= rcvlowat || fin || dw_window_current(w) <= w->rcv_mss ||
	       w->rmem > w->rcvbuf - (w->rcvbuf >> 3);
}

/*
 * Memory at which the kernel refuses further data (path B: out of memory for
 * this socket), tcp_try_rmem_schedule() and tcp_clamp_window().
 */
static inline __s64 dw_memory_limit(const struct dw_window *w)
{
	if (w->flags & DW_RCVBUF_LOCKED)
		return w->rcvbuf;
	return dw_max(w->rcvbuf, w->rmem_max);
}

#ifdef __cplusplus
}
#endif

#endif
