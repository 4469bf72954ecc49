// What watching does to the host: nothing is lost in silence.
#include "support/scenario.hpp"

#include <sys/prctl.h>
#include <csignal>

namespace drainwatch::live {
namespace {

using namespace std::chrono_literals;

class Harm : public Scenario {
protected:
    void SetUp() override
    {
        Scenario::SetUp();
        if (polls()) {
            GTEST_SKIP() << "polling puts nothing into the kernel";
        }
    }

    /// A process that is a target and is none, again and again: two notices each time.
    [[nodiscard]] Process flood(int times)
    {
        return Process::fork([this, times] {
            for (int i = 0; i < times; i++) {
                prctl(PR_SET_NAME, comm().c_str());
                prctl(PR_SET_NAME, "nobody");
            }
            nap(60s);
        });
    }
};

/// The ring overflows while drainwatch stands still, and is flooded to the very end: every notice is
/// accounted for, and the stall is told all the same.
TEST_F(Harm, every_notice_is_accounted_for)
{
    constexpr int kTimes = 20'000;
    play({.rcvbuf = 48 * 1024}, {}, read_all);
    nap(500ms);
    watcher().process().signal(SIGSTOP);
    const Process flooded = flood(kTimes);
    ASSERT_TRUE(wait_until([&] { return flooded.is_asleep(); }, 5s));
    control().hold = true;
    nap(1500ms);
    watcher().process().signal(SIGCONT);
    EXPECT_TRUE(watcher().wait_for(about(sender(), is_trouble), 2s));
    EXPECT_TRUE(watcher().wait_for(about(sender(), event_is("zero_window")), 5s));
    ASSERT_TRUE(watcher().wait_for(event_is("lost"), 3s));
    const Process flooding = flood(1'000'000);
    nap(500ms);
    EXPECT_EQ(finish(), 2);
    const auto summary = watcher().lines(event_is("summary"));
    ASSERT_EQ(summary.size(), 1U);
    const Json& told = summary.front().json;
    EXPECT_EQ(told["notices_produced"],
              told["notices_consumed"].get<int>() + told["notices_lost"].get<int>());
    EXPECT_GT(told["notices_produced"], 2 * kTimes);
    EXPECT_GT(told["notices_lost"], kTimes) << "the scene is not what it should be";
    EXPECT_GT(told["notices_consumed"], 1000);
}

}  // namespace
}  // namespace drainwatch::live
