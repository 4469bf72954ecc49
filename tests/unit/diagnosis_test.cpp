#include "cause/diagnosis.hpp"

#include "cause/waiting.hpp"
#include "drainwatch/profile_abi.h"
#include "durations.hpp"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <csignal>

namespace drainwatch::diagnosis_test {
namespace {

using test::kSecond;

/// A lone thread that has slept for two seconds in this call.
CauseFacts asleep_in(std::int32_t number, std::uint64_t first_argument = 0)
{
    CauseFacts facts;
    facts.process = {"gip", 29543};
    facts.tid = 29543;
    facts.chosen = Chosen::last_reader;
    facts.threads = 1;
    facts.state = 'S';
    facts.call = CallFacts{number, {first_argument}};
    facts.kernel = KernelView{};
    facts.kernel->off_cpu_ns = 2 * kSecond;
    facts.silent_ns = 2 * kSecond;
    facts.sockets = 1;
    return facts;
}

CauseFacts on_a_cpu(double ran, double waited, std::optional<double> throttled = std::nullopt)
{
    CauseFacts facts = asleep_in(0);
    facts.state = 'R';
    facts.calls_are_known = true;
    facts.call.reset();
    facts.kernel->off_cpu_ns.reset();
    facts.cpu = CpuFacts{2 * kSecond, ran, waited, throttled, {}};
    return facts;
}

struct Expected {
    const char* name;
    CauseFacts facts;
    ThreadState state;
    std::string sentence;
};

class Diagnosis : public ::testing::TestWithParam<Expected> {};

TEST_P(Diagnosis, says)
{
    const Cause cause = diagnose(GetParam().facts);
    EXPECT_EQ(to_string(cause.state), to_string(GetParam().state));
    EXPECT_EQ(cause.sentence, GetParam().sentence);
}

template <typename Change>
CauseFacts with(CauseFacts facts, Change&& change)
{
    change(facts);
    return facts;
}

CauseFacts writing_to(DescriptorFacts::Kind kind, const std::string& name)
{
    CauseFacts facts = asleep_in(SYS_write, 7);
    facts.waits_on = DescriptorFacts{7, kind, name};
    return facts;
}

INSTANTIATE_TEST_SUITE_P(
    , Diagnosis,
    testing::Values(
        Expected{"futex", asleep_in(SYS_futex), ThreadState::sleeping,
                 "gip has waited 2.0 s in futex"},
        Expected{"thread",
                 with(asleep_in(SYS_futex),
                      [](CauseFacts& f) {
                          f.threads = 5;
                          f.tid = 29551;
                          f.sockets = 9;
                          f.others_waiting = 8;
                          f.reads_others = false;
                      }),
                 ThreadState::sleeping,
                 "thread 29551 of gip, which read this socket last, has waited 2.0 s in futex; gip "
                 "reads none of its 9 sockets"},
        Expected{"others",
                 with(asleep_in(SYS_nanosleep),
                      [](CauseFacts& f) {
                          f.sockets = 2;
                          f.reads_others = true;
                      }),
                 ThreadState::sleeping,
                 "gip has slept 2.0 s in nanosleep; gip reads others of its 2 sockets"},
        Expected{"again",
                 with(asleep_in(SYS_nanosleep),
                      [](CauseFacts& f) { f.kernel->off_cpu_ns = kSecond / 100; }),
                 ThreadState::sleeping, "gip sleeps in nanosleep, this time for 10 ms"},
        Expected{"some_have_nothing_to_read",
                 with(asleep_in(SYS_nanosleep),
                      [](CauseFacts& f) {
                          f.sockets = 9;
                          f.others_waiting = 2;
                          f.reads_others = false;
                      }),
                 ThreadState::sleeping,
                 "gip has slept 2.0 s in nanosleep; gip reads none of the 3 with unread data, of "
                 "its 9 sockets"},
        Expected{"never_accepted",
                 with(asleep_in(SYS_nanosleep),
                      [](CauseFacts& f) {
                          f.accepted = false;
                          f.reads_others = true;
                      }),
                 ThreadState::sleeping,
                 "gip has slept 2.0 s in nanosleep; nobody has accepted this connection"},
        Expected{"real_time",
                 with(asleep_in(SYS_futex),
                      [](CauseFacts& f) {
                          f.kernel->off_cpu_ns.reset();
                          f.kernel->off_cpu_at_most_ns = 12 * kSecond;
                          f.cpu = CpuFacts{kSecond, 0, 0, {}, 19 * kSecond / 10};
                      }),
                 ThreadState::sleeping, "gip has waited 1.9 s in futex"},
        Expected{"real_time_that_ran",
                 with(asleep_in(SYS_futex),
                      [](CauseFacts& f) {
                          f.kernel->off_cpu_ns.reset();
                          f.kernel->off_cpu_at_most_ns = 12 * kSecond;
                          f.cpu = CpuFacts{kSecond, 0.3, 0, {}, {}};
                      }),
                 ThreadState::sleeping, "gip waits in futex"},
        Expected{"polled",
                 with(asleep_in(SYS_futex),
                      [](CauseFacts& f) {
                          f.kernel.reset();
                          f.cpu = CpuFacts{kSecond, 0, 0, {}, 19 * kSecond / 10};
                      }),
                 ThreadState::sleeping, "gip has waited 1.9 s in futex"},
        Expected{"asleep_for_once",
                 with(asleep_in(SYS_nanosleep),
                      [](CauseFacts& f) {
                          f.calls_are_known = true;
                          f.kernel->off_cpu_ns = 1'000'000;
                          f.cpu = CpuFacts{2 * kSecond, 0.9, 0.05, {}, {}};
                      }),
                 ThreadState::running,
                 "gip is busy with something else: it ran for 90 % of the last 2.0 s"},
        Expected{"awake_for_once",
                 with(on_a_cpu(0.05, 0.01), [](CauseFacts& f) { f.kernel->on_cpu = true; }),
                 ThreadState::running, "gip runs just now, as it did for 5 % of the last 2.0 s"},
        Expected{"quota_of_others_in_its_group",
                 with(asleep_in(SYS_futex),
                      [](CauseFacts& f) {
                          f.cpu = CpuFacts{2 * kSecond, 0, 0, 0.9, {}};
                      }),
                 ThreadState::sleeping, "gip has waited 2.0 s in futex"},
        Expected{"frozen", with(asleep_in(SYS_futex), [](CauseFacts& f) { f.frozen = true; }),
                 ThreadState::stopped, "gip is frozen by its control group"},
        Expected{"in_the_kernel",
                 with(asleep_in(SYS_recvfrom, 4), [](CauseFacts& f) { f.state = 'D'; }),
                 ThreadState::disk,
                 "gip has waited 2.0 s in the kernel, where no signal wakes it, in recvfrom"},
        Expected{
            "a_full_pipe_for_a_while",
            with(writing_to(DescriptorFacts::Kind::pipe, "pipe:[12]"),
                 [](CauseFacts& f) { f.kernel->off_cpu_ns = kSecond / 10; }),
            ThreadState::sleeping,
            "gip is blocked writing to a pipe (descriptor 7, pipe:[12]), this time for 100 ms"},
        Expected{"without_bpf", with(asleep_in(SYS_futex), [](CauseFacts& f) { f.kernel.reset(); }),
                 ThreadState::sleeping, "gip waits in futex"},
        Expected{"whose_turn_is_not_known",
                 with(asleep_in(SYS_futex),
                      [](CauseFacts& f) {
                          f.threads = 3;
                          f.chosen = Chosen::first_thread;
                      }),
                 ThreadState::sleeping,
                 "which of the 3 threads of gip reads is not known; thread 29543 of gip has waited "
                 "2.0 s in futex"},
        Expected{"nothing_known",
                 with(asleep_in(SYS_futex),
                      [](CauseFacts& f) {
                          f.kernel.reset();
                          f.call.reset();
                          f.sockets.reset();
                      }),
                 ThreadState::sleeping, "gip sleeps"},
        Expected{"full_pipe", writing_to(DescriptorFacts::Kind::pipe, "pipe:[12]"),
                 ThreadState::sleeping,
                 "gip has been blocked 2.0 s writing to a pipe (descriptor 7, pipe:[12]), which "
                 "nobody empties"},
        Expected{"peer", writing_to(DescriptorFacts::Kind::socket, "10.1.2.9:5061"),
                 ThreadState::sleeping,
                 "gip has been blocked 2.0 s writing to 10.1.2.9:5061 (descriptor 7), whose peer "
                 "takes nothing"},
        Expected{"file", writing_to(DescriptorFacts::Kind::file, "/var/log/\x1b[2Jx"),
                 ThreadState::sleeping,
                 "gip has been blocked 2.0 s writing to /var/log/\\x1b[2Jx (descriptor 7)"},
        Expected{"unknown_descriptor", asleep_in(SYS_write, 7), ThreadState::sleeping,
                 "gip has been blocked 2.0 s writing to descriptor 7"},
        Expected{"lock",
                 with(asleep_in(SYS_flock, 4),
                      [](CauseFacts& f) {
                          f.waits_on = DescriptorFacts{4, DescriptorFacts::Kind::file, "/run/gip"};
                      }),
                 ThreadState::sleeping,
                 "gip has waited 2.0 s for a lock on /run/gip (descriptor 4) in flock"},
        Expected{"child", asleep_in(SYS_wait4), ThreadState::sleeping,
                 "gip has waited 2.0 s for a child process to end, in wait4"},
        Expected{
            "polls_others",
            with(asleep_in(SYS_epoll_wait, 5), [](CauseFacts& f) { f.polls_this_socket = false; }),
            ThreadState::polling,
            "gip has waited 2.0 s in epoll_wait, which does not ask for this socket"},
        Expected{
            "polls", with(asleep_in(SYS_poll), [](CauseFacts& f) { f.polls_this_socket = true; }),
            ThreadState::polling, "gip has waited 2.0 s in poll and does not read this socket"},
        Expected{"spins_in_poll",
                 with(on_a_cpu(0.9, 0.1),
                      [](CauseFacts& f) {
                          f.frequent_call = FrequentCall{SYS_epoll_wait, 0.6};
                      }),
                 ThreadState::polling,
                 "gip calls epoll_wait over and over and does not read this socket"},
        Expected{"busy", on_a_cpu(0.98, 0.02), ThreadState::running,
                 "gip is busy with something else: it ran for 98 % of the last 2.0 s"},
        Expected{"starved", on_a_cpu(0.09, 0.91), ThreadState::runnable,
                 "gip is runnable but got 9 % of a CPU in the last 2.0 s"},
        Expected{"busy_and_not_looked_at",
                 with(on_a_cpu(0.98, 0.02), [](CauseFacts& f) { f.calls_are_known = false; }),
                 ThreadState::running, "gip is busy: it ran for 98 % of the last 2.0 s"},
        Expected{"shares_its_cpu", on_a_cpu(0.48, 0.52), ThreadState::running,
                 "gip is busy with something else: it ran for 48 % of the last 2.0 s"},
        Expected{"spins_in_poll_on_a_busy_cpu",
                 with(on_a_cpu(0.2, 0.8),
                      [](CauseFacts& f) {
                          f.frequent_call = FrequentCall{SYS_epoll_wait, 0.6};
                      }),
                 ThreadState::polling,
                 "gip calls epoll_wait over and over and does not read this socket"},
        Expected{"about_to_run", on_a_cpu(0.001, 0.003), ThreadState::runnable,
                 "gip waits for a CPU just now"},
        Expected{"quota", on_a_cpu(0.03, 0.9, 0.95), ThreadState::runnable,
                 "gip is runnable but got 3 % of a CPU in the last 2.0 s (cgroup quota)"},
        Expected{"quota_of_a_group_that_it_hardly_uses", on_a_cpu(0.1, 0.02, 0.95),
                 ThreadState::runnable, "gip waits for a CPU just now"},
        Expected{"throttled_a_little", on_a_cpu(0.04, 0.96, 0.1), ThreadState::runnable,
                 "gip is runnable but got 4 % of a CPU in the last 2.0 s"},
        Expected{"runs_just_now",
                 with(on_a_cpu(0, 0),
                      [](CauseFacts& f) {
                          f.cpu.reset();
                          f.kernel->on_cpu = true;
                      }),
                 ThreadState::running, "gip runs just now"},
        Expected{"stopped",
                 with(asleep_in(SYS_futex),
                      [](CauseFacts& f) {
                          f.state = 'T';
                          f.kernel->stop_signal = SIGSTOP;
                      }),
                 ThreadState::stopped, "gip is stopped (SIGSTOP)"},
        Expected{"traced", with(asleep_in(SYS_futex), [](CauseFacts& f) { f.state = 't'; }),
                 ThreadState::stopped, "gip is stopped by a debugger"},
        Expected{"disk",
                 with(asleep_in(SYS_fsync, 4),
                      [](CauseFacts& f) {
                          f.state = 'D';
                          f.kernel_stack = {"schedule", "io_schedule", "folio_wait_bit_common"};
                      }),
                 ThreadState::disk, "gip has waited 2.0 s for a disk or file system in fsync"},
        Expected{"paging_from_disk",
                 with(asleep_in(SYS_recvfrom, 5),
                      [](CauseFacts& f) {
                          f.state = 'D';
                          f.kernel_stack = {"io_schedule", "folio_wait_bit_common", "do_swap_page",
                                            "__handle_mm_fault", "handle_mm_fault"};
                      }),
                 ThreadState::disk, "gip has waited 2.0 s for a page of memory in recvfrom"},
        Expected{"paging_by_a_process",
                 with(asleep_in(SYS_recvfrom, 5),
                      [](CauseFacts& f) {
                          f.kernel_stack = {"handle_userfault", "__handle_mm_fault",
                                            "handle_mm_fault", "tcp_recvmsg_locked"};
                      }),
                 ThreadState::sleeping, "gip has waited 2.0 s for a page of memory in recvfrom"},
        Expected{"exited",
                 with(CauseFacts{},
                      [](CauseFacts& f) {
                          f.process = {"gip", 29543};
                          f.tid = 29551;
                          f.reader_has_ended = true;
                      }),
                 ThreadState::exited,
                 "thread 29551 of gip, which read this socket last, has exited"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(WaitingCall, descriptors_of_calls)
{
    EXPECT_EQ(waiting_in({SYS_recvfrom, {9}}).fd, 9U);
    EXPECT_EQ(waiting_in({SYS_epoll_wait, {5}}).fd, 5U);
    EXPECT_EQ(waiting_in({SYS_poll, {0x7fff0000}}).fd, std::nullopt);
    EXPECT_EQ(waiting_in({100'000, {1}}).purpose, Purpose::other);
    EXPECT_EQ(waiting_in({-1, {1}}).purpose, Purpose::other);
    EXPECT_EQ(waiting_in({DW_COMPAT_CALL + 3, {9}}).fd, 9U) << "read of a 32-bit program";
    EXPECT_EQ(waiting_in({DW_COMPAT_CALL + 4, {9}}).purpose, Purpose::write);
    EXPECT_TRUE(is_poll(SYS_pselect6));
    EXPECT_TRUE(is_poll(DW_COMPAT_CALL + 256)) << "epoll_wait of a 32-bit program";
    EXPECT_FALSE(is_poll(SYS_read));
}

}  // namespace
}  // namespace drainwatch::diagnosis_test
