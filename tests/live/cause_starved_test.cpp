// Readers that go on, but are given no CPU.
#include "support/cause_scene.hpp"
#include "support/control_group.hpp"

#include <sched.h>
#include <sys/epoll.h>
#include <list>

namespace drainwatch::live {
namespace {

class CauseStarved : public Cause {
protected:
    static void stay_on_one_cpu()
    {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(0, &set);
        sched_setaffinity(0, sizeof(set), &set);
    }

    void SetUp() override
    {
        Cause::SetUp();
        if (polls() && threads() == Threads::several) {
            GTEST_SKIP() << "polling does not know which thread read";
        }
    }

    [[nodiscard]] static Injection injected() { return std::get<Injection>(GetParam()); }
    [[nodiscard]] static Threads threads() { return std::get<Threads>(GetParam()); }

    /// `stop_reading` goes on beside ten processes that want the same CPU.
    void starve(const std::function<void(Control&)>& stop_reading)
    {
        constexpr int kSpinners = 10;
        begin(threads(), [&](int, Control& control) {
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
            expect_cause(cause, injected());
            EXPECT_LT(cause["cpu"]["running"], 0.3) << cause;
        }
        spinners.clear();
        finish();
    }
};

INSTANTIATE_TEST_SUITE_P(, CauseStarved,
                         testing::Combine(testing::Values(Injection{"starved", nullptr, "runnable",
                                                                    "% of a CPU in the last"}),
                                          testing::Values(Threads::one, Threads::several)),
                         name_of);

TEST_P(CauseStarved, by_ten_processes_on_its_cpu)
{
    starve([](Control& control) {
        while (!control.quit) {
        }
    });
}

/// CPU time of this thread.
std::chrono::nanoseconds cpu_time()
{
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

/// It asks for more to do in between, and is found there at times.
TEST_P(CauseStarved, while_it_waits_now_and_then)
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

TEST_P(CauseStarved, by_a_quota)
{
    const ControlGroup group(ControlGroup::Controller::cpu);
    if (!group.limit_cpu(5ms, 100ms)) {
        GTEST_SKIP() << "no cgroup with a quota of CPU time can be made here";
    }
    begin(threads(), [&](int, Control& control) {
        while (!control.quit) {
        }
    });
    ASSERT_TRUE(group.add(target().pid()));
    control().hold = true;
    for (const Json& cause : causes()) {
        expect_cause(cause, injected());
        EXPECT_NE(cause["sentence"].get<std::string>().find("(cgroup quota)"), std::string::npos)
            << cause;
        EXPECT_LT(cause["cpu"]["running"], 0.2) << cause;
    }
    finish();
}

class CauseFrozen : public CauseStarved {};

INSTANTIATE_TEST_SUITE_P(, CauseFrozen,
                         testing::Combine(testing::Values(Injection{
                                              "frozen", nullptr, "stopped",
                                              "is frozen by its control group"}),
                                          testing::Values(Threads::one, Threads::several)),
                         name_of);

TEST_P(CauseFrozen, by_its_control_group)
{
    const ControlGroup group(ControlGroup::Controller::freezer);
    begin(threads(), [](int, Control&) {});
    if (!group.add(target().pid())) {
        GTEST_SKIP() << "no cgroup that freezes can be made here";
    }
    ASSERT_TRUE(group.freeze());
    for (const Json& cause : causes()) {
        expect_cause(cause, injected());
    }
    group.thaw();
    finish();
}

}  // namespace
}  // namespace drainwatch::live
