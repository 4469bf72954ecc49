// SPDX-License-Identifier: GPL-2.0
/* An empty program on each tracepoint that drainwatch hooks: what being called costs by itself. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

#define TWIN(tracepoint)                                                                           \
	SEC("tp_btf/" #tracepoint)                                                                 \
	int tracepoint(void *ctx)                                                                  \
	{                                                                                          \
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
