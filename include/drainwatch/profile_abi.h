/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the BPF side of `profile` measures and the user side reads. Plain data,
 * the same on both. Times are CLOCK_MONOTONIC in nanoseconds; 0 means "never".
 */
#ifndef DRAINWATCH_PROFILE_ABI_H
#define DRAINWATCH_PROFILE_ABI_H

#include "drainwatch/abi.h"

#define DW_QUEUE_LEN 512  /* segments, or runs of them, that wait in one socket; a power of two */
#define DW_RUNS_LEN 128   /* times that a thread got a CPU, as far back as is remembered; likewise */
#define DW_STACK_DEPTH 127 /* frames; the kernel gives no more (PERF_MAX_STACK_DEPTH) */
#define DW_NO_CALL (-1)   /* in no system call */
#define DW_COMPAT_CALL 0x40000000 /* added to the number of a 32-bit program's system call */

/* Segments that arrived one after the other, up to end_seq; at_ns is the mean of their arrivals. */
struct dw_segments {
	__u64 at_ns; /* 0: before the measurement, it is not known when */
	__u32 end_seq;
	__u32 count;
};

/* What waits in a socket, oldest first. See arrival_queue.h. */
struct dw_arrival_queue {
	__u32 head;
	__u32 count;
	__u32 coarseness; /* how often it was too full to keep to the tolerance */
	__u32 kept; /* while it is merged */
	struct dw_segments entry[DW_QUEUE_LEN];
};

/* One socket that is measured. Written under its lock, except for what the user side begins. */
struct dw_measured_socket {
	__u64 cookie;         /* of the slot it was begun for; another one's is a successor */
	__u64 depth_since_ns; /* up to when its depth has been recorded */
	__u64 orphan_since_ns;/* since when data is unread here with no known reader, if it is so */
	__u64 copied_ns;      /* when copied_seq moved last */
	__u32 copied_seq;
	__u32 data_end;
	__u32 reader_tid;     /* who read last, or is the only one who can; 0: not known */
	__u32 reader_tgid;
	__u32 waits;          /* it is counted in its reader's `unread` */
	__u32 out_of_order;   /* segments that had come out of order, at the last arrival */
	__u32 popped_seq;     /* where the segments end that were read last, as a whole, */
	__u32 generation;     /* of the slot it was begun for: a socket may lose its slot and get it back */
	__u64 popped_at_ns;   /* and when they came */
	__u32 closed;         /* no one can read it any more */
	__u32 pad;
	struct dw_arrival_queue queue;
};

enum dw_thread_state {
	DW_THREAD_RUNNING = 1,
	DW_THREAD_RUNNABLE, /* it could run, and has no CPU */
	DW_THREAD_SLEEPING,
	DW_THREAD_ENDED,
	DW_THREAD_UNKNOWN,  /* nobody knows who would read */
};

/* A thread got a CPU, which it did not have since out_ns; it could have run since wake_ns. */
struct dw_run {
	__u64 out_ns;
	__u64 wake_ns;
	__u64 in_ns;
};

/* One thread that reads, or might be the one to. See reader_thread.h. */
struct dw_thread {
	__u32 tgid;
	__u32 state;          /* dw_thread_state */
	__s32 call;           /* asleep: in which system call */
	__s32 unread;         /* sockets of its own that hold unread data */
	__u64 since_ns;       /* up to when its waits have been recorded */
	__u64 known_since_ns; /* as far back as `runs` tells everything */
	struct dw_run off;    /* the time off the CPU that is under way: in_ns is 0 */
	__s32 kernel_stack;   /* where it left the CPU; negative: not known */
	__s32 user_stack;
	__u32 alone;          /* its process has no other thread */
	__u32 runs;           /* how many there were; the last DW_RUNS_LEN are kept */
	char comm[DW_COMM_LEN];
	struct dw_run run[DW_RUNS_LEN];
};

enum dw_distribution {
	DW_DIST_READ_LATENCY, /* ns, one for each segment: arrival to read, see measure_call() */
	DW_DIST_WAKEUP,       /* ns, the part until its reader was woken */
	DW_DIST_SCHEDULE,     /* ns, the part until that had a CPU */
	DW_DIST_APPLICATION,  /* ns, the part until it read */
	DW_DIST_UNATTRIBUTED, /* ns, a whole latency of which the parts are not known */
	DW_DIST_READ_BYTES,   /* bytes, one for each read */
	DW_DIST_QUEUE_BYTES,  /* bytes unread, weighted with the time in us */
	DW_DIST_EMPTY_READS,  /* counted, no value */
	DW_DIST_PEEKS,        /* the same */
	DW_DIST_TLS_READ,     /* ns, one for each call of a TLS library that read data: how long it took */
	DW_DIST_TLS_LATENCY,  /* ns, one for each such call: arrival of the last byte it needed to return */
	DW_DIST_TLS_ABOVE_SOCKET, /* ns, the part after the read of the socket was over */
	DW_DIST_TLS_HANDSHAKE,    /* ns, first call to the return of the last, failed ones too */
	DW_DIST_TLS_EMPTY_READS,  /* counted, no value: calls that read no data, for there was none */
	DW_DIST_TLS_READ_ERRORS,      /* the same */
	DW_DIST_TLS_HANDSHAKE_ERRORS, /* the same */
	DW_DISTRIBUTIONS
};

/* What a thread wants of a TLS library. */
enum dw_tls_call_kind {
	DW_TLS_READ = 1,
	DW_TLS_HANDSHAKE,
	DW_TLS_PEEK, /* followed only because it may read the socket */
};

/* The call of a TLS library that a thread is in. See tls_calls.h. */
struct dw_tls_call {
	__u64 session;  /* its first argument; 0: it is in none */
	__u64 stack;    /* the stack pointer as it began */
	__u64 began_ns;
	__u64 failed;   /* session of the last call, if it failed and nobody has asked why */
	__u32 kind;     /* dw_tls_call_kind */
	__u32 pad;
};

struct dw_tls_session_key {
	__u64 session; /* address in the process */
	__u32 tgid;
	__u32 pad;
};

/* One TLS session. */
struct dw_tls_session {
	__u64 cookie;       /* of the socket that was read for it last; 0: none of ours */
	__u64 arrived_ns;   /* when the last byte came that was read; 0: not known */
	__u64 taken_ns;     /* when that read was over; 0: there was none */
	__u64 handshake_ns; /* when the handshake under way began; 0: there is none */
	__u64 handshake_returned_ns; /* the last call for it */
	__u32 handshake_calls;
	__u32 pad;
};

struct dw_bucket_key {
	__u64 group;        /* dw_grouping says of what */
	__u32 distribution; /* dw_distribution */
	__u32 bucket;       /* see histogram.h */
};

struct dw_bucket {
	__u64 count;
	__u64 sum; /* of the values themselves */
	__u64 max;
};

struct dw_wait_key {
	__u64 group;
	__u32 state; /* dw_thread_state */
	__s32 call;  /* of those asleep; else DW_NO_CALL */
};

struct dw_stack_key {
	__u32 tgid;
	__u32 state;
	__s32 call;
	__s32 kernel_stack;
	__s32 user_stack;
	__u32 pad;
};

/* What a group is. */
enum dw_grouping {
	DW_GROUP_ALL,     /* all in one, 0 */
	DW_GROUP_PROCESS, /* tgid of the reader */
	DW_GROUP_SOCKET,  /* cookie */
	DW_GROUP_THREAD,  /* tid of the reader */
};

struct dw_socket_name {
	__u32 tgid;
	__u16 family;
	__u16 local_port;
	__u16 remote_port;
	__u16 pad[3];
	__u8 local[16];
	__u8 remote[16];
};

/* Set before load, constant then. */
struct dw_profile_config {
	__u32 grouping;       /* dw_grouping */
	__u8 stacks;
	__u8 arrivals_by_probe; /* no sk_data_ready */
	__u8 reads_by_chunk;    /* nothing tells when a call is over: each piece it copies is a read */
	__u8 pad;
};

/* What was not measured; one set for each CPU. */
enum dw_profile_counter {
	DW_MISSED_BUCKETS,  /* samples for which there was no bucket left */
	DW_MISSED_THREADS,  /* reads by a thread for which there was no room */
	DW_MISSED_WAITS,    /* times waited for which there was no room */
	DW_MERGED_SEGMENTS, /* segments whose arrivals were averaged with others' */
	DW_EARLY_SEGMENTS,  /* segments that had arrived before the measurement */
	DW_PROFILE_COUNTERS
};

#endif
