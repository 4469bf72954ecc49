/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the BPF side writes and the user side reads. Plain data, the same on both.
 *
 * The truth about a socket is its slot: absolute counters that heal with the
 * next event. Records in the ring are hints that say "look now, and why"; one
 * that is lost delays a look. A reset or a new connection that it told of is
 * missed as such.
 *
 * Times are CLOCK_MONOTONIC in nanoseconds; 0 means "never".
 */
#ifndef DRAINWATCH_ABI_H
#define DRAINWATCH_ABI_H

#include "drainwatch/tcp_window.h"

#define DW_FIFO_LEN 16      /* a power of two */
#define DW_COMM_LEN 16      /* TASK_COMM_LEN */
#define DW_MAX_NAMES 16     /* --process, at most */
#define DW_MAX_PORTS 16     /* --port, at most */
#define DW_MAX_LISTENERS 4096 /* whose waiting connections are found */
#define DW_NO_SLOT 0xffffffffu
#define DW_STREAM_WINDOW 32768 /* of each direction, bytes from the first one on that are looked into */
#define DW_INDEX_PLACES (1 << 17) /* of slot_index: of more sockets, some are found by their storage */
#define DW_FILL_BATCH 256   /* slots that become free at a time; their number is a multiple */

/* Bytes up to end_seq arrived at at_ns (the first of them, where arrivals are merged). Packed: most
 * of a slot are these.
 */
struct dw_arrival {
	__u64 at_ns;
	__u32 end_seq;
} __attribute__((packed, aligned(4)));

/* Arrivals that are still unread, oldest first. See unread_fifo.h. */
struct dw_fifo {
	__u8 head;
	__u8 count;
	__u8 noticed; /* 1: the slot's flag in `attention` is set; a look at that is spared */
	__u8 pad;
	struct dw_arrival entry[DW_FIFO_LEN];
};

/* What this reader normally does, in two periods so that old habits fade. */
struct dw_habit {
	__u64 longest_gap_ns[2]; /* longest silence that a read ended, [0] the current period */
	__u32 deepest_bytes[2];  /* most unread bytes that such a read found */
	__u64 since_ns;          /* when the current period began */
};

/* Which bytes of a connection's streams are wanted: see tls_phase.h. */
struct dw_tls {
	__u8 round;       /* of this handshake, never 0; 0 if its beginning was not seen */
	__u8 settled;     /* written by the user side: the round of which no more is wanted */
	__u8 alert_bytes; /* and, as it does so: length of a segment that may be an alert, or 0 */
	__u8 glimpses;    /* if its beginning was not seen: segments still to be looked at */
};

#define DW_SLOT_LOWER_BOUND 0x1u /* the oldest entry was there before us: its age is a lower bound */
#define DW_SLOT_CLOSED 0x2u      /* the last announced window was zero */
#define DW_SLOT_WAS_CLOSED 0x4u  /* and it was so at some time since the last read */
#define DW_SLOT_TURN_ESTIMATED 0x8u /* the last turn of the window was not seen as it was announced */
#define DW_SLOT_RESET 0x10u      /* it was reset, and that was told */
#define DW_SLOT_BORN_HERE 0x20u  /* its peer has connected to us, and was watched from then on */

/*
 * Everything known about one watched socket. In cache lines, for arrivals and
 * reads come on different CPUs: what seldom changes; what both change, up to
 * the first entries of the FIFO, which are all that a reader who keeps up
 * needs; what reads alone change; what arrivals alone change; the rest.
 */
struct dw_slot {
	__u64 cookie;        /* identity; a slot whose cookie changed is another socket: see dw_own_cookie */
	__u64 opened_ns;     /* when the watch began */
	__u64 ended_ns;      /* when the socket was destroyed */
	__u64 zero_ns;       /* last time that a zero window was announced after an open one */
	__u64 reopened_ns;   /* last time that an open one was announced after zero */
	struct dw_tls tls;   /* what is wanted of its bytes */
	__u32 rcvlowat;      /* SO_RCVLOWAT: below it the reader is not told of data */
	__u32 netns;         /* inode number of the network namespace */
	__u32 owner_tgid;    /* whose listener or call it came from; 0 if not known */
	__u16 family;        /* AF_INET or AF_INET6 */
	__u16 local_port;    /* host order */
	__u16 remote_port;
	__u8 state;          /* TCP_ESTABLISHED, ... */
	__u8 flags;          /* DW_SLOT_* */

	__u32 copied_seq;    /* head of what is unread */
	__u32 data_end;      /* rcv_nxt without a received FIN */
	__u64 last_read_ns;  /* last time that copied_seq moved */
	__u32 reader_tgid;   /* who moved copied_seq last */
	__u32 reader_tid;
	__u32 arrived_jiffies; /* when data last came, low bits; only sk_data_ready sets it */
	struct dw_fifo unread;

	struct dw_habit habit;

	struct dw_window window; /* as of the last arrival; copied_seq is the one above */
	__u32 danger;            /* highest level announced, see dw_danger_level */

	__u32 end_at_open;       /* data_end when the watch began: what was there before us */
	__u32 generation;        /* how many sockets this slot has served; survives them */
	__u32 zero_count;        /* times that a zero window was announced after an open one */
	__u32 received_from;     /* sequence numbers of the first bytes of both directions */
	__u32 sent_from;
	__u8 local[16];          /* address; IPv4 in the first four bytes */
	__u8 remote[16];
} __attribute__((aligned(64)));

enum dw_record_kind {
	DW_REC_DANGER = 1,   /* a queue fills: look now */
	DW_REC_ZERO,         /* zero window announced at at_ns; value: zero_count */
	DW_REC_REOPENED,     /* an open window announced after it; value: zero_count */
	DW_REC_RESET_IN,     /* reset received; value: unread bytes */
	DW_REC_RESET_OUT,    /* reset sent; value: unread bytes */
	DW_REC_BROKEN,       /* given up by the kernel with unread data, without a reset; value: the errno */
	DW_REC_ENDED,        /* destroyed with unread data */
	DW_REC_CLOSED,       /* by either side, before its TLS handshake was past, if there was any */
	DW_REC_CONNECTED,    /* a connection is established, and watched */
	DW_REC_ALERT_OUT,    /* the kernel's own TLS sent an alert; value: level << 8 | description */
	DW_REC_ALERT_IN,     /* or received one */
	DW_REC_HANDSHAKE_BEGUN, /* TLS begins here, whatever the streams held before */
	DW_REC_HANDSHAKE_OVER,  /* the kernel's word on a handshake under way; value: 0, or the errno */
	DW_REC_EXEC,         /* a target appeared or changed its name */
	DW_REC_FORK,         /* a target's child; value: the parent's pid */
	DW_REC_EXIT,         /* a target ended */
	DW_REC_KINDS
};

struct dw_record {
	__u32 kind;
	__u32 slot;   /* DW_NO_SLOT for processes */
	__u64 cookie; /* socket records */
	__u64 at_ns;
	__u32 value;
	__u32 pid;    /* process records: the tgid; socket records: who did it, 0 if not known */
	char comm[DW_COMM_LEN];
};

/*
 * In front of a segment's bytes, which begin with its headers. Who the socket is is told here: it
 * may be gone before this is read.
 */
struct dw_stream_bytes {
	__u64 cookie;
	__u64 at_ns;
	__u32 slot;
	__u32 start_seq;     /* of the direction's first byte; unknown for a glimpse */
	__u32 offset;        /* of the payload, from there */
	__u32 payload_at;    /* where it begins in the bytes that follow */
	__u32 segment_bytes; /* payload of the segment */
	__u32 taken_bytes;   /* of that, so many follow, and then padding */
	__u32 netns;
	__u32 owner_tgid;
	__u32 reader_tgid;
	__u16 family;
	__u16 local_port;    /* host order */
	__u16 remote_port;
	__u8 from_peer;
	__u8 part;           /* enum dw_stream_part */
	__u8 local[16];
	__u8 remote[16];
	__u8 round;          /* of the slot's struct dw_tls */
	__u8 pad[3];
};

enum dw_stream_part {
	DW_PART_HANDSHAKE, /* all of it */
	DW_PART_ALERT,     /* the front of what may be an alert */
	DW_PART_GLIMPSE,   /* the front of a segment of an old connection */
};

/* Written by iter/task_file, one for each descriptor that is a TCP socket. */
struct dw_descriptor {
	__u64 cookie; /* that of its slot, too; 0 if it is not known yet */
	__u64 inode;
	__u32 slot;  /* DW_NO_SLOT for a listener, and for a connection that has none yet */
	__u32 tgid;
	__u32 fd;
	__u32 netns; /* inode number */
	__u16 local_port;
	__u8 listener;
	__u8 waiting; /* of a listener: connections wait to be accepted */
	__u8 pad[4];
};

/* Value of the process map. */
#define DW_TARGET_BY_PID 0x1u  /* named by --pid: stays a target whatever it execs */
#define DW_TARGET_BY_NAME 0x2u
#define DW_TARGET_BY_FORK 0x4u /* child of a target */

/* Set before load, constant then. */
struct dw_config {
	__u8 watch_all;                  /* --all */
	__u8 names;                      /* how many */
	__u8 ports;
	__u8 arrivals_by_probe;          /* no sk_data_ready: tcp_probe and the ACKs tell of arrivals */
	__u8 sockets_by_address;         /* no socket storage, see bpf/sockets.h */
	__u8 heals_by_descriptor;        /* no iterator over socket storage: see find_descriptors() */
	__u8 tls;                        /* look into the streams for TLS */
	__u8 pad;
	__u64 warn_after_ns;             /* longer gaps are no habit */
	__u64 danger_age_ns;             /* younger queues do not wake the user side */
	__u64 danger_interval_ns;        /* nor do two within this time */
	__u64 jiffy_ns;                  /* length of a jiffy, from clock_getres(CLOCK_MONOTONIC_COARSE) */
	char name[DW_MAX_NAMES][DW_COMM_LEN]; /* padded with zeros */
	__u16 port[DW_MAX_PORTS];        /* host order */
};

/* The tracepoints that are hooked. */
enum dw_hook {
	DW_HOOK_tcp_probe,
	DW_HOOK_sk_data_ready,
	DW_HOOK_tcp_rcv_space_adjust,
	DW_HOOK_sock_recv_length,
	DW_HOOK_net_dev_queue,
	DW_HOOK_inet_sock_set_state,
	DW_HOOK_tls_alert_send,
	DW_HOOK_tls_alert_recv,
	DW_HOOK_handshake_cmd_accept,
	DW_HOOK_handshake_complete,
	DW_HOOK_tcp_destroy_sock,
	DW_HOOK_tcp_receive_reset,
	DW_HOOK_tcp_send_reset,
	DW_HOOK_sched_process_fork,
	DW_HOOK_sched_process_exec,
	DW_HOOK_task_rename,
	DW_HOOK_sched_process_exit,
	DW_HOOKS
};

/* In the map of runs, behind the hooks: bytes of streams that were handed on, within two of those. */
#define DW_RUNS_STREAMS DW_HOOKS
/* And those of a hook that does nothing. */
#define DW_RUNS_EMPTY (DW_HOOKS + 1)
#define DW_RUNS (DW_HOOKS + 2)

#define DW_TIMED_SHARE 256      /* one run in so many is timed; a power of two */
#define DW_LONGEST_RUN_NS 100000 /* a timed run that took longer was interrupted, and does not count */

struct dw_timed {
	__u64 runs;
	__u64 ns; /* in those, without the way to the program and back */
};

/* A run under way. */
struct dw_stopwatch {
	__u64 began_ns; /* 0: it is not timed */
	__u64 clock_ns; /* what reading the clock takes */
};

/*
 * What they have done on one CPU, since the start. A segment runs several: what each of them looks
 * at lies in a few cache lines, and all in one page, for the first look into another costs most of
 * what a hook does.
 */
struct dw_runs {
	__u64 watched; /* runs for an event of a watched socket */
	__u64 count[DW_RUNS];
	/* Kernels before 6.1 let a hook interrupt itself: then a time, one in many, is wrong. */
	struct dw_stopwatch under_way[DW_HOOKS];
	struct dw_timed timed[DW_RUNS];
} __attribute__((aligned(1024)));

/* Counters of the kernel side, one set for each CPU. */
enum dw_counter {
	DW_COUNT_SENT,          /* records in the ring */
	DW_COUNT_RING_FULL,     /* records that found it full */
	DW_COUNT_TABLE_FULL,    /* sockets that had something unread when no slot was free */
	DW_COUNT_STORAGE_FAILED,/* sockets not watched: no storage could be made, or no room was left */
	DW_COUNT_MULTIPATH,     /* connections of Multipath TCP, which are not followed */
	DW_COUNT_BYTES_SENT,    /* segments handed to the user side for their TLS */
	DW_COUNT_BYTES_LOST,    /* those that found no room */
	DW_COUNTERS
};

#endif
