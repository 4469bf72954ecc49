// Kernels that lack a tracepoint: the same verdicts all the same.
#include "support/scenario.hpp"

#include <sys/socket.h>
#include <set>

namespace drainwatch::live {
namespace {

using namespace std::chrono_literals;

class Fallback : public Scenario {
protected:
    void without(const std::vector<std::string>& hooks)
    {
        for (const std::string& hook : hooks) {
            watch_options_.insert(watch_options_.end(), {"--without", hook});
        }
    }

    void expect_said_missing(const std::vector<std::string>& parts)
    {
        const auto start = watcher().lines(event_is("start")).front();
        std::set<std::string> said;
        for (const Json& missing : start.json["missing"]) {
            EXPECT_NE(missing["reason"], "");
            EXPECT_NE(missing["cost"], "");
            said.insert(missing["program"]);
        }
        for (const std::string& part : parts) {
            EXPECT_TRUE(said.contains(part)) << part;
        }
    }
};

/// 6.1, and RHEL up to 9.3.
const std::vector<std::string> kBefore63{"sk_data_ready", "sock_recv_length"};

TEST_F(Fallback, stall_without_sk_data_ready)
{
    without(kBefore63);
    play({.rcvbuf = 48 * 1024}, {}, read_all);
    nap(1s);
    control().hold = true;
    wait_for_zero(10s);
    control().hold = false;
    EXPECT_TRUE(watcher().wait_for(event_is("recovered"), 5s));
    expect_warned_before_zero();
    expect_said_missing(kBefore63);
}

TEST_F(Fallback, fast_fill_without_sk_data_ready)
{
    without(kBefore63);
    play({.rcvbuf = 96 * 1024}, {.message = 4000, .spacing = 5000us}, read_all);
    nap(1s);
    control().hold = true;
    wait_for_zero(10s);
    expect_warned_before_zero();
}

/// One message, nothing after it: no further segment tells of it.
TEST_F(Fallback, single_message_without_sk_data_ready)
{
    without(kBefore63);
    make_target({}, Target::one_connection([](int, Control&) {}));
    capture();
    watch();
    Sender& sender = connect({});
    nap(200ms);
    ASSERT_EQ(send(sender.fd(), "hello", 5, 0), 5);
    const std::uint64_t sent_ns = realtime_ns();
    const auto warning = watcher().wait_for(about(sender, is_trouble), 3s);
    ASSERT_TRUE(warning);
    EXPECT_NEAR(static_cast<double>(warning->read_ns - sent_ns) / 1e6, 1000, 150);
    EXPECT_EQ(warning->json["queue_bytes"], 5);
    finish();
}

TEST_F(Fallback, healthy_reader_without_sk_data_ready)
{
    without(kBefore63);
    play({}, {}, read_all);
    nap(3s);
    sender().pause();
    nap(2s);
    expect_silence();
}

TEST_F(Fallback, healthy_reader_without_tcp_rcv_space_adjust)
{
    without({"tcp_rcv_space_adjust"});
    play({}, {}, read_all);
    nap(3s);
    sender().pause();
    nap(2s);
    expect_silence();
}

TEST_F(Fallback, stall_without_tcp_rcv_space_adjust)
{
    without({"tcp_rcv_space_adjust"});
    play({.rcvbuf = 48 * 1024}, {}, read_all);
    nap(1s);
    control().hold = true;
    wait_for_zero(10s);
    expect_warned_before_zero();
}

TEST_F(Fallback, connections_without_inet_sock_set_state)
{
    without({"inet_sock_set_state"});
    play({}, {.message = 150, .spacing = 20'000us}, read_all);
    nap(1500ms);
    control().hold = true;
    // The next full look finds it: it may take 0.05 % of a CPU, which is slow where that is
    // emulated.
    EXPECT_TRUE(watcher().wait_for(about(sender(), is_trouble), on_emulated_machine() ? 20s : 4s));
    finish();
}

/// By address nothing is copied from the listener, and no event tells of the connection's birth: a
/// full look must come to its network namespace, though nothing waited there at the start.
TEST_F(Fallback, never_accepted_by_address_without_inet_sock_set_state)
{
    without({"sk_storage", "inet_sock_set_state"});
    make_target({}, accept_nothing);
    watch();
    nap(8s);  // the listener is not new any more
    Sender& sender = connect({.message = 150, .spacing = 20'000us});
    sender.start();
    EXPECT_TRUE(watcher().wait_for(about(sender, is_trouble), 5s));
    finish();
}

TEST_F(Fallback, targets_without_the_hooks_of_processes)
{
    without({"sched_process_fork", "sched_process_exec", "task_rename", "sched_process_exit"});
    watch();
    make_target({}, Target::one_connection(read_all));
    ASSERT_TRUE(watcher().wait_for(event_is("target"), 3s));
    Sender& sender = connect({.message = 150, .spacing = 20'000us});
    sender.start();
    nap(500ms);
    control().hold = true;
    EXPECT_TRUE(watcher().wait_for(about(sender, is_trouble), 4s));
    finish();
}

/// As it is when the kernel leaves out the run that would have seen the announcement.
TEST_F(Fallback, zero_window_without_net_dev_queue)
{
    without({"net_dev_queue"});
    play({.rcvbuf = 48 * 1024}, {}, read_all);
    nap(1s);
    control().hold = true;
    wait_for_zero(10s);
    nap(200ms);
    control().hold = false;
    EXPECT_TRUE(watcher().wait_for(about(sender(), event_is("window_reopened")), 3s));
    EXPECT_TRUE(watcher().wait_for(about(sender(), event_is("recovered")), 3s));
    expect_warned_before_zero();
}

}  // namespace
}  // namespace drainwatch::live
