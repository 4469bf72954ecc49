/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel types in use, by hand: only the members that are read, relocated
 * by CO-RE against the running kernel's BTF. The build needs no BTF of its own.
 */
#ifndef DRAINWATCH_KERNEL_TYPES_H
#define DRAINWATCH_KERNEL_TYPES_H

#include <linux/bpf.h>
#include <linux/types.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	__s64 counter;
} atomic64_t;

struct in6_addr {
	union {
		__u8 u6_addr8[16];
	} in6_u;
};

struct ns_common {
	unsigned int inum;
};

struct netns_ipv4 {
	int sysctl_tcp_rmem[3];
	__u8 sysctl_tcp_shrink_window; /* 6.5 */
	__s8 sysctl_tcp_adv_win_scale; /* an int in some kernels: the low byte holds its range */
};

struct net {
	struct ns_common ns;
	struct netns_ipv4 ipv4;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	unsigned char skc_ipv6only : 1;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	atomic64_t skc_cookie; /* 0 until someone asks for it */
	unsigned long skc_flags; /* bits of enum sock_flags */
};

struct bpf_local_storage;
struct handshake_req;
struct sk_buff;
struct socket;
struct msghdr;

struct sk_buff_head {
	struct sk_buff *prev; /* the newest */
};

struct sock {
	struct sock_common __sk_common;
	struct {
		atomic_t rmem_alloc;
		int len;
	} sk_backlog;
	struct sk_buff_head sk_receive_queue;
	struct {
		int owned;
	} sk_lock;
	int sk_rcvbuf;
	int sk_rcvlowat;
	int sk_err;
	unsigned int sk_userlocks : 4; /* a plain u8 since 6.8 */
	unsigned int sk_protocol : 8;  /* a plain u16 since 5.6 */
	__u32 sk_ack_backlog; /* of a listener: connections that wait to be accepted */
	struct socket *sk_socket;
	struct bpf_local_storage *sk_bpf_storage; /* 5.2 */
};

struct socket {
	short type;
	struct sock *sk;
};

struct inet_sock {
	struct sock sk;
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	struct {
		__u32 lrcvtime; /* jiffies of the last received data */
		__u16 rcv_mss;
	} icsk_ack;
};

struct tcp_options_received {
	__u16 rcv_wscale : 4;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 rcv_ooopack; /* out-of-order segments that came, ever; 5.4 */
	__u32 rcv_nxt;
	__u32 copied_seq;
	__u32 snd_nxt;
	__u32 rcv_wup;
	__u32 rcv_wnd;
	__u32 window_clamp;
	__u32 rcv_ssthresh;
	__u32 urg_seq;
	__u16 urg_data;	       /* not 0: urgent data came, and is not behind copied_seq yet */
	__u8 scaling_ratio;    /* 6.5 */
	__u64 tcp_clock_cache; /* CLOCK_MONOTONIC ns of the last segment; 4.20 */
	__u8 is_mptcp;	       /* it is a path of Multipath TCP, which has it emptied; 5.6 */
	struct tcp_options_received rx_opt;
};

struct sk_buff {
	struct sock *sk;
	unsigned int len;
	__s64 tstamp; /* CLOCK_REALTIME ns, of a received one that was stamped */
	char cb[48]; /* in TCP's hands: struct tcp_skb_cb */
	unsigned char *head;
	unsigned char *data;
	__u16 mac_header;
	__u16 transport_header;
};

struct tcphdr {
	__be16 window;
};

struct tcp_skb_cb {
	__u32 seq;
	__u32 end_seq; /* a FIN counts */
	__u8 tcp_flags;
};

struct signal_struct {
	atomic_t live;
};

struct files_struct;

struct thread_info {
	__u32 status; /* x86: TS_COMPAT, in a 32-bit system call */
};

struct pt_regs { /* x86-64 */
	unsigned long r15;
	unsigned long r14;
	unsigned long r13;
	unsigned long r12;
	unsigned long bp;
	unsigned long bx;
	unsigned long ax;      /* what a function returns */
	unsigned long di;      /* its first argument */
	unsigned long orig_ax; /* number of the system call, -1 outside of one */
	unsigned long ip;
	unsigned short cs;     /* a whole word before 6.9 */
	unsigned long sp;
};

struct sched_info { /* by the scheduler's clock */
	unsigned long long last_arrival; /* was given a CPU */
	unsigned long long last_queued;  /* has waited for one since; 0: it does not */
};

struct sched_entity {
	__u64 sum_exec_runtime;
	__u64 prev_sum_exec_runtime; /* when it was given its CPU; not of real-time tasks */
};

struct task_struct {
	struct thread_info thread_info;
	unsigned int __state; /* 5.14 */
	void *stack;
	int on_cpu;             /* not in 7.2 any more */
	int prio;               /* below 100: real-time */
	struct sched_entity se;
	unsigned long jobctl; /* its low bits: the signal that stopped it */
	struct sched_info sched_info; /* CONFIG_SCHED_INFO */
	int pid;
	int tgid;
	struct task_struct *group_leader;
	struct files_struct *files;
	struct signal_struct *signal;
	char comm[16];
};

struct task_struct___old {
	long state; /* before 5.14 */
};

struct inode {
	unsigned short i_mode;
	unsigned long i_ino;
};

struct file {
	struct inode *f_inode;
	void *private_data; /* of a socket: struct socket */
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
	__u64 session_id;
	__u64 seq_num;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
};

struct bpf_map;

struct bpf_iter__bpf_sk_storage_map {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	struct sock *sk;
	void *value;
};

#pragma clang attribute pop

/* On the wire, not in the kernel's BTF: never relocated. */
struct tcp_header {
	__be16 source;
	__be16 dest;
	__be32 seq;
	__be32 ack_seq;
	__u8 offset;
	__u8 flags;
	__be16 window;
};

#define TCP_FLAG_SYN 0x02
#define TCP_FLAG_RST 0x04
#define TCP_FLAG_ACK 0x10

#define MSG_PEEK 0x02

#define TASK_DEAD 0x80 /* not before its last time on a CPU is over */
#define TS_COMPAT 0x02

#define AF_INET		 2
#define AF_INET6	 10
#define EEXIST 17
#define SOCK_RCVBUF_LOCK 2
#define SOCK_DONE 1 /* of enum sock_flags, include/net/sock.h: a FIN has come */
#define SOCK_STREAM	 1
#define IPPROTO_TCP	 6
#define S_IFMT		 0170000
#define S_IFSOCK	 0140000

#endif
