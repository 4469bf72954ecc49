// Why a reader does not read: each reason is brought about, and must be named.
#include "support/control_group.hpp"
#include "support/scenario.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <array>
#include <csignal>
#include <list>
#include <thread>

namespace drainwatch::live {
namespace {

using namespace std::chrono_literals;

/// What an injection needs besides the reader, made before that: by the test's own process.
struct Stage {
    std::string lock_path;        ///< of a file that the test has locked
    std::uint16_t peer_port = 0;  ///< of a listener whose connections nobody reads
};

struct Injection {
    const char* name;
    /// In the reader, instead of reading on. Does not return, or returns to end the thread.
    void (*stop_reading)(int fd, const Stage& stage, Control& control);
    std::string_view state;
    /// Words of the sentence.
    std::string_view words;
    /// Name of the system call; "" for a reader that is in none.
    std::string_view call = {};
    /// The kind of thing that it waits for.
    std::string_view object = {};
    /// What can be said without BPF, if that is less.
    std::string_view polled_state = {};
    std::string_view polled_words = {};
};

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

/// Reads until it is told to stop.
void read_until_held(int fd, Control& control)
{
    control.reader = static_cast<std::uint32_t>(gettid());
    const timeval limit{0, 10'000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    std::array<char, 65536> buffer{};
    while (!control.hold && !control.quit) {
        recv(fd, buffer.data(), buffer.size(), 0);
    }
}

enum class Threads { one, several };

std::ostream& operator<<(std::ostream& stream, const Injection& injected)
{
    return stream << injected.name;
}

using Parameters = std::tuple<Injection, Threads>;

class Cause : public Scenario, public ::testing::WithParamInterface<Parameters> {
protected:
    void SetUp() override
    {
        Scenario::SetUp();
        if (IsSkipped()) {
            return;
        }
        stage_.lock_path = "/tmp/drainwatch-lock-" + std::to_string(getpid());
        lock_ = open(stage_.lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        flock(lock_, LOCK_EX);
        listener_ = listen_on_loopback({}, stage_.peer_port);
    }

    void TearDown() override
    {
        Scenario::TearDown();
        if (lock_ >= 0) {
            close(lock_);
            unlink(stage_.lock_path.c_str());
            close(listener_);
        }
    }

    /// One connection that is read, until it is held: then `stop_reading`.
    void begin(Threads threads, const std::function<void(int, Control&)>& stop_reading)
    {
        make_target({}, [=](int listener, Control& control) {
            const int fd = accept(listener, nullptr, nullptr);
            control.accepted++;
            const auto reader = [&] {
                read_until_held(fd, control);
                stop_reading(fd, control);
            };
            if (threads == Threads::one) {
                reader();
                return;
            }
            std::thread other([&] {
                while (!control.quit) {
                    nap(5ms);
                }
            });
            std::thread(reader).join();
            other.join();
        });
        watch({"--warn-after", "600ms", "--critical-after", "1500ms"});
        connect({.message = 150, .spacing = 10'000us}).start();
        ASSERT_TRUE(wait_until([&] { return control().accepted == 1; }, 5s));
        nap(300ms);
    }

    /// Of the warning, and then of the escalation.
    std::array<Json, 2> causes()
    {
        std::array<Json, 2> found;
        for (const auto& [i, severity] : {std::pair{0U, "warning"}, {1U, "critical"}}) {
            const auto line = watcher().wait_for(about(sender(),
                                                       [severity = severity](const Line& l) {
                                                           return l.event() == "not_draining" &&
                                                                  l.json["severity"] == severity;
                                                       }),
                                                 5s);
            EXPECT_TRUE(line) << severity;
            if (line && line->json.contains("cause")) {
                found.at(i) = line->json["cause"];
                EXPECT_NE(line->json["reason"].get<std::string>().find(
                              found.at(i)["sentence"].get<std::string>()),
                          std::string::npos);
            }
        }
        return found;
    }

    void expect_cause(const Json& cause, const Injection& injected)
    {
        SCOPED_TRACE(cause.dump());
        ASSERT_TRUE(cause.is_object());
        const bool less = polls() && !injected.polled_state.empty();
        EXPECT_EQ(cause["state"], less ? injected.polled_state : injected.state);
        EXPECT_NE(cause["sentence"].get<std::string>().find(less ? injected.polled_words
                                                                 : injected.words),
                  std::string::npos);
        if (!injected.call.empty()) {
            EXPECT_EQ(cause["syscall"]["name"], injected.call);
        }
        if (!injected.object.empty()) {
            EXPECT_EQ(cause["syscall"]["kind"], injected.object);
        }
        EXPECT_EQ(cause["thread"]["tid"], control().reader.load());
        const bool asleep = injected.state == "sleeping" || injected.state == "stopped";
        if (asleep && polls() && cause["threads"] > 1) {
            // Who reads is found when the verdict is due, not before: its times are not known.
            EXPECT_FALSE(cause["kernel_stack"].empty());
        } else if (asleep) {
            // Who waits to send is woken now and then, and goes back to sleep.
            EXPECT_GT(cause["since_ms"], injected.object == "socket" ? -1 : 400);
            EXPECT_FALSE(cause["kernel_stack"].empty());
        }
    }

    [[nodiscard]] const Stage& stage() const { return stage_; }

private:
    Stage stage_;
    int lock_ = -1;
    int listener_ = -1;
};

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
};

std::string name_of(const ::testing::TestParamInfo<Parameters>& info)
{
    const auto& [injected, threads] = info.param;
    return std::string(injected.name) + (threads == Threads::one ? "" : "_in_a_thread");
}

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
        }
    }
    finish();
    const auto warning = watcher().lines(about(sender(), is_trouble)).front();
    EXPECT_LT(warning.read_ns - held_ns, 800'000'000U) << "no verdict waits for its cause";
}

class CauseFrozen : public Cause {};

TEST_F(CauseFrozen, by_its_control_group)
{
    const ControlGroup group(ControlGroup::Controller::freezer);
    begin(Threads::one, [](int, Control&) {});
    if (!group.add(target().pid())) {
        GTEST_SKIP() << "no cgroup that freezes can be made here";
    }
    ASSERT_TRUE(group.freeze());
    for (const Json& cause : causes()) {
        EXPECT_EQ(cause["state"], "stopped") << cause;
        EXPECT_NE(cause["sentence"].get<std::string>().find("is frozen by its control group"),
                  std::string::npos)
            << cause;
    }
    group.thaw();
    finish();
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

class CauseStarved : public Cause {
protected:
    static void stay_on_one_cpu()
    {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(0, &set);
        sched_setaffinity(0, sizeof(set), &set);
    }

    /// `stop_reading` goes on beside ten processes that want the same CPU.
    void starve(const std::function<void(Control&)>& stop_reading)
    {
        constexpr int kSpinners = 10;
        begin(Threads::one, [&](int, Control& control) {
            stay_on_one_cpu();
            stop_reading(control);
        });
        std::list<Process> spinners;
        for (int i = 0; i < kSpinners; i++) {
            spinners.push_back(Process::fork([] {
                stay_on_one_cpu();
                const auto end = std::chrono::steady_clock::now() + 8s;
                while (std::chrono::steady_clock::now() < end) {
                }
            }));
        }
        control().hold = true;
        for (const Json& cause : causes()) {
            expect_cause(cause, kStarved);
            EXPECT_LT(cause["cpu"]["running"], 0.3) << cause;
        }
        spinners.clear();
        finish();
    }

    const Injection kStarved{"starved", spin, "runnable", "% of a CPU in the last"};
};

TEST_F(CauseStarved, by_ten_processes_on_its_cpu)
{
    starve([](Control& control) { spin(-1, {}, control); });
}

/// CPU time of this thread.
std::chrono::nanoseconds cpu_time()
{
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

/// It asks for more to do in between, and is found there at times.
TEST_F(CauseStarved, while_it_waits_now_and_then)
{
    starve([](Control& control) {
        const int set = epoll_create1(0);
        while (!control.quit) {
            epoll_event event{};
            epoll_wait(set, &event, 1, 1);
            for (const auto end = cpu_time() + 5ms; cpu_time() < end;) {
            }
        }
    });
}

TEST_F(CauseStarved, by_a_quota)
{
    const ControlGroup group(ControlGroup::Controller::cpu);
    if (!group.limit_cpu(5ms, 100ms)) {
        GTEST_SKIP() << "no cgroup with a quota of CPU time can be made here";
    }
    begin(Threads::one, [&](int, Control& control) {
        while (!control.quit) {
        }
    });
    ASSERT_TRUE(group.add(target().pid()));
    control().hold = true;
    for (const Json& cause : causes()) {
        expect_cause(cause, kStarved);
        EXPECT_NE(cause["sentence"].get<std::string>().find("(cgroup quota)"), std::string::npos)
            << cause;
        EXPECT_LT(cause["cpu"]["running"], 0.2) << cause;
    }
    finish();
}

}  // namespace
}  // namespace drainwatch::live
