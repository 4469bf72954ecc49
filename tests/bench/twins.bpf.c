// SPDX-License-Identifier: GPL-2.0
/*
 * On each tracepoint that drainwatch hooks, an empty program: what being called
 * costs by itself. And one that counts its runs, to no other purpose: what the
 * first look into a map costs, which no program that measures can do without.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

#define CPUS 4096 /* at most; runs on others are not counted */

/* CPU -> runs */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, CPUS);
	__type(key, __u32);
	__type(value, __u64[8]);
} runs SEC(".maps");

#define TWIN(tracepoint)                                                                           \
	SEC("tp_btf/" #tracepoint)                                                                 \
	int tracepoint(void *ctx)                                                                  \
	{                                                                                          \
		return 0;                                                                          \
	}                                                                                          \
                                                                                                   \
	SEC("tp_btf/" #tracepoint)                                                                 \
	int count_##tracepoint(void *ctx)                                                          \
	{                                                                                          \
		__u32 cpu = bpf_get_smp_processor_id();                                            \
		__u64 *count = bpf_map_lookup_elem(&runs, &cpu);                                   \
                                                                                                   \
		if (count)                                                                         \
			++*count;                                                                  \
		return 0;                                                                          \
	}

TWIN(tcp_probe)
TWIN(sk_data_ready)
TWIN(tcp_rcv_space_adjust)
TWIN(sock_recv_length)
TWIN(net_dev_queue)
TWIN(inet_sock_set_state)
TWIN(tls_alert_send)
TWIN(tls_alert_recv)
TWIN(handshake_cmd_accept)
TWIN(handshake_complete)
TWIN(tcp_destroy_sock)
TWIN(tcp_receive_reset)
TWIN(tcp_send_reset)
TWIN(sched_process_fork)
TWIN(sched_process_exec)
TWIN(task_rename)
TWIN(sched_process_exit)
