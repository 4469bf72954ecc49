// Why a reader does not read: each reason is brought about, and must be named.
#include "support/cause_scene.hpp"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <csignal>

namespace drainwatch::live {
namespace {

void sleep_on(int, const Stage&, Control&)
{
    std::this_thread::sleep_for(60s);
}

void deadlock(int, const Stage&, Control&)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&mutex);
    pthread_mutex_lock(&mutex);
}

void spin(int, const Stage&, Control& control)
{
    while (!control.quit) {
    }
}

void write_to_a_full_pipe(int, const Stage&, Control&)
{
    std::array<int, 2> ends{};
    const std::array<char, 4096> bytes{};
    if (pipe(ends.data()) == 0) {
        while (write(ends[1], bytes.data(), bytes.size()) > 0) {
        }
    }
}

void send_to_a_peer_that_does_not_read(int, const Stage& stage, Control&)
{
    const int fd = connect_on_loopback(stage.peer_port);
    const std::array<char, 4096> bytes{};
    while (send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) > 0) {
    }
}

void wait_for_a_file_lock(int, const Stage& stage, Control&)
{
    flock(open(stage.lock_path.c_str(), O_RDWR | O_CLOEXEC), LOCK_EX);
}

/// Waits for something else, in short waits.
void poll_others(int, const Stage&, Control& control)
{
    std::array<int, 2> ends{};
    const int set = epoll_create1(0);
    epoll_event event{EPOLLIN, {}};
    if (pipe(ends.data()) != 0 || epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &event) != 0) {
        return;
    }
    while (!control.quit) {
        epoll_wait(set, &event, 1, 20);
    }
}

/// Is told of the data at once, each time.
void poll_and_ignore(int fd, const Stage&, Control& control)
{
    const int set = epoll_create1(0);
    epoll_event event{EPOLLIN, {}};
    epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
    while (!control.quit) {
        epoll_wait(set, &event, 1, 1000);
    }
}

/// Is told of the data once, and then never again.
void poll_once(int fd, const Stage&, Control& control)
{
    const int set = epoll_create1(0);
    epoll_event event{EPOLLIN | EPOLLONESHOT, {}};
    epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
    while (!control.quit) {
        epoll_wait(set, &event, 1, 1000);
    }
}

/// By a set in a set, and a duplicate of the descriptor that is closed again.
void poll_edges(int fd, const Stage&, Control& control)
{
    const int inner = epoll_create1(0);
    const int outer = epoll_create1(0);
    const int twin = dup(fd);
    epoll_event event{EPOLLIN | EPOLLET, {}};
    epoll_ctl(inner, EPOLL_CTL_ADD, twin, &event);
    epoll_ctl(outer, EPOLL_CTL_ADD, inner, &event);
    close(twin);
    while (!control.quit) {
        epoll_wait(outer, &event, 1, 1000);
    }
}

/// As a real-time thread: the kernel does not say how long those ran last.
void deadlock_in_real_time(int fd, const Stage& stage, Control& control)
{
    const sched_param first{10};
    sched_setscheduler(0, SCHED_FIFO, &first);
    deadlock(fd, stage, control);
}

void read_another_socket(int, const Stage& stage, Control&)
{
    const int fd = connect_on_loopback(stage.peer_port);
    char byte = 0;
    recv(fd, &byte, 1, 0);
}

void end_thread(int, const Stage&, Control&) {}

void wait_for_a_child(int, const Stage&, Control&)
{
    const pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        std::this_thread::sleep_for(60s);
        _exit(0);
    }
    waitpid(child, nullptr, 0);
}

/// And has another one that has ended, which it leaves a zombie.
void wait_for_a_child_beside_a_zombie(int fd, const Stage& stage, Control& control)
{
    if (fork() == 0) {
        _exit(0);
    }
    wait_for_a_child(fd, stage, control);
}

TEST_P(Cause, is_named)
{
    const auto& [injected, threads] = GetParam();
    if (polls() && (threads == Threads::several || injected.state == "exited")) {
        GTEST_SKIP() << "polling does not know which thread read";
    }
    begin(threads, [stop = injected.stop_reading, stage = stage()](int fd, Control& control) {
        stop(fd, stage, control);
    });
    control().hold = true;
    for (const Json& cause : causes()) {
        expect_cause(cause, injected);
        if (injected.stop_reading == sleep_on && !polls()) {
            // In a stripped program, its places in the file are what can be said.
            const std::string stack = cause["user_stack"].dump();
            EXPECT_TRUE(stack.find("sleep_on(") != std::string::npos ||
                        stack.find("live_tests+0x") != std::string::npos)
                << cause;
        }
    }
    finish();
}

constexpr std::array kInjections{
    Injection{"nanosleep", sleep_on, "sleeping", "in clock_nanosleep", "clock_nanosleep"},
    Injection{"deadlock", deadlock, "sleeping", "in futex", "futex"},
    Injection{"busy", spin, "running", "busy with something else", "", "", "running", "is busy: "},
    Injection{"full_pipe", write_to_a_full_pipe, "sleeping", "writing to a pipe", "write", "pipe"},
    Injection{"peer_does_not_read", send_to_a_peer_that_does_not_read, "sleeping",
              "writing to 127.0.0.1:", "sendto", "socket"},
    Injection{"file_lock", wait_for_a_file_lock, "sleeping", "for a lock on /tmp/drainwatch-lock-",
              "flock", "file"},
    Injection{"polls_others", poll_others, "polling", "does not ask for this socket", "epoll_wait",
              "epoll"},
    Injection{"ignores_what_is_ready", poll_and_ignore, "polling", "does not read this socket", "",
              "", "running", "is busy: "},
    Injection{"reads_another", read_another_socket, "sleeping",
              "to read from 127.0.0.1:", "recvfrom", "socket"},
    Injection{"child", wait_for_a_child, "sleeping", "for a child process", "wait4"},
    Injection{"zombies_parent", wait_for_a_child_beside_a_zombie, "sleeping", "for a child process",
              "wait4"},
};

INSTANTIATE_TEST_SUITE_P(, Cause,
                         testing::Combine(testing::ValuesIn(kInjections),
                                          testing::Values(Threads::one, Threads::several)),
                         name_of);

INSTANTIATE_TEST_SUITE_P(Ended, Cause,
                         testing::Combine(testing::Values(Injection{"reader_exits", end_thread,
                                                                    "exited", "has exited"}),
                                          testing::Values(Threads::several)),
                         name_of);

INSTANTIATE_TEST_SUITE_P(
    Finer, Cause,
    testing::Combine(
        testing::Values(Injection{"polls_once", poll_once, "polling",
                                  "does not ask for this socket", "epoll_wait", "epoll"},
                        Injection{"polls_edges", poll_edges, "polling",
                                  "and does not read this socket", "epoll_wait", "epoll"},
                        Injection{"real_time", deadlock_in_real_time, "sleeping", "in futex",
                                  "futex"}),
        testing::Values(Threads::one)),
    name_of);

/// What is brought about from outside, to a reader that goes on.
class CauseOutside : public Cause {};

TEST_P(CauseOutside, stopped)
{
    const auto& [injected, threads] = GetParam();
    begin(threads, [stop = injected.stop_reading, stage = stage()](int fd, Control& control) {
        stop(fd, stage, control);
    });
    target().process().signal(SIGSTOP);
    for (const Json& cause : causes()) {
        expect_cause(cause, injected);
    }
    finish();
}

INSTANTIATE_TEST_SUITE_P(, CauseOutside,
                         testing::Combine(testing::Values(Injection{"sigstop", sleep_on, "stopped",
                                                                    "is stopped"}),
                                          testing::Values(Threads::one, Threads::several)),
                         name_of);

class CauseAsked : public Cause {
protected:
    void stall()
    {
        begin(Threads::one, [](int, Control&) { std::this_thread::sleep_for(60s); });
        control().hold = true;
    }
};

TEST_F(CauseAsked, not_at_all)
{
    watch_options_ = {"--no-cause"};
    stall();
    for (const Json& cause : causes()) {
        EXPECT_TRUE(cause.is_null()) << cause;
    }
    finish();
}

/// Of a process whose memory and system calls are not ours to see, the rest is told.
TEST_F(CauseAsked, without_permission)
{
    if (polls()) {
        GTEST_SKIP() << "polling sees nothing at all of such a process";
    }
    watch_wrapper_ = {"setpriv",    "--bounding-set", "-sys_ptrace,-dac_read_search,-dac_override",
                      "--inh-caps", "-all",           "--"};
    stall();
    for (const Json& cause : causes()) {
        EXPECT_EQ(cause["state"], "sleeping") << cause;
        EXPECT_TRUE(cause["syscall"].is_null()) << cause;
        EXPECT_FALSE(cause["kernel_stack"].empty()) << cause;
        EXPECT_NE(cause["missing"].dump().find("system call: "), std::string::npos) << cause;
    }
    finish();
}

/// Its peer is known all the same.
TEST_F(CauseAsked, about_a_socket_that_is_not_watched)
{
    watches_its_port_only_ = true;
    begin(Threads::one,
          [stage = stage()](int fd, Control& control) { read_another_socket(fd, stage, control); });
    control().hold = true;
    const std::string peer = "127.0.0.1:" + std::to_string(stage().peer_port);
    for (const Json& cause : causes()) {
        EXPECT_EQ(cause["syscall"]["object"], peer) << cause;
        EXPECT_NE(cause["sentence"].get<std::string>().find("to read from " + peer),
                  std::string::npos)
            << cause;
    }
    finish();
}

/// The memory of the process may be locked by it: nobody is to wait for that.
TEST_F(CauseAsked, while_a_thread_hangs_in_the_kernel)
{
    begin(Threads::one, [](int, Control&) {
        std::thread hanging([] {
            if (vfork() == 0) {  // NOLINT: whoever called it hangs until the child has ended
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                pause();
                _exit(0);
            }
        });
        std::this_thread::sleep_for(60s);
    });
    control().hold = true;
    for (const Json& cause : causes()) {
        EXPECT_EQ(cause["syscall"]["name"], "clock_nanosleep") << cause;
        EXPECT_TRUE(cause["user_stack"].empty()) << cause;
        EXPECT_NE(cause["missing"].dump().find("a thread may hang in the kernel"),
                  std::string::npos)
            << cause;
    }
    finish();
}

/// It costs no more time than with few threads, and finds the right one.
TEST_F(CauseAsked, of_two_thousand_threads)
{
    constexpr int kThreads = 2000;
    make_target({}, [](int listener, Control& own) {
        const int fd = accept(listener, nullptr, nullptr);
        pthread_attr_t small;
        pthread_attr_init(&small);
        pthread_attr_setstacksize(&small, 65536);
        for (int i = 0; i < kThreads; i++) {
            pthread_t thread{};
            pthread_create(
                &thread, &small,
                [](void*) -> void* {
                    pause();
                    return nullptr;
                },
                nullptr);
        }
        own.accepted++;
        std::thread([&] {
            read_until_held(fd, own);
            std::this_thread::sleep_for(60s);
        }).join();
    });
    watch({"--warn-after", "600ms", "--critical-after", "1500ms"});
    connect({.message = 150, .spacing = 10'000us}).start();
    ASSERT_TRUE(wait_until([&] { return control().accepted == 1; }, 5s));
    nap(300ms);
    const std::uint64_t held_ns = realtime_ns();
    control().hold = true;
    for (const Json& cause : causes()) {
        EXPECT_GE(cause["threads"], kThreads);
        if (!polls()) {
            EXPECT_EQ(cause["thread"]["tid"], control().reader.load());
            EXPECT_EQ(cause["syscall"]["name"], "clock_nanosleep") << cause;
            EXPECT_FALSE(cause["user_stack"].empty()) << cause;
        }
    }
    finish();
    const auto warning = watcher().lines(about(sender(), is_trouble)).front();
    EXPECT_LT(warning.read_ns - held_ns, 800'000'000U) << "no verdict waits for its cause";
}

/// Of two sockets, the first is not read any more, or neither.
class CauseScope : public Cause {
protected:
    void stop_reading(std::size_t number)
    {
        make_target({}, [number](int listener, Control& own) {
            std::array<int, 2> fds{};
            for (int& fd : fds) {
                fd = accept(listener, nullptr, nullptr);
                own.accepted++;
            }
            std::array<char, 65536> buffer{};
            while (!own.quit) {
                for (std::size_t i = own.hold ? number : 0; i < fds.size(); i++) {
                    recv(fds.at(i), buffer.data(), buffer.size(), MSG_DONTWAIT);
                }
                nap(2ms);
            }
        });
        watch({"--warn-after", "600ms", "--critical-after", "1500ms"});
        for (std::uint32_t i = 1; i <= 2; i++) {
            connect({.message = 150, .spacing = 10'000us}).start();
            ASSERT_TRUE(wait_until([&] { return control().accepted == i; }, 5s));
        }
        nap(300ms);
        control().hold = true;
    }

    void expect_scope(std::string_view scope, std::string_view words)
    {
        for (const Json& cause : causes()) {
            EXPECT_EQ(cause["scope"], scope) << cause;
            EXPECT_NE(cause["sentence"].get<std::string>().find(words), std::string::npos) << cause;
        }
        finish();
    }
};

TEST_F(CauseScope, others_are_read)
{
    stop_reading(1);
    expect_scope("socket", "reads others of its 2 sockets");
}

TEST_F(CauseScope, none_is_read)
{
    stop_reading(2);
    expect_scope("process", "reads none of its 2 sockets");
}

}  // namespace
}  // namespace drainwatch::live
