#include "budget/shedder.hpp"

#include "budget/cost_meter.hpp"
#include "durations.hpp"

#include <gtest/gtest.h>
#include <algorithm>

namespace drainwatch::shedder_test {
namespace {

using test::kMs;
using test::kSecond;

using Kind = ShedStep::Kind;

constexpr double kBudget = 0.01;

/// A tool that is reviewed four times a second, and obeys. Costs are in milliseconds a second.
struct Tool {
    std::uint64_t now_ns = 100 * kSecond;
    Shedder shedder{kBudget, now_ns};
    double user_ms = 0;
    struct Hook {
        unsigned need;
        double cost_ms;
        bool attached = true;
    };
    std::vector<Hook> hooks;
    double streams_ms = 0;  ///< half in this process, half in the first hook
    bool streams_taken = true;
    std::vector<ShedOrder> orders;
    bool refuses = false;  ///< nothing can be carried out

    void obey(const ShedOrder& order)
    {
        orders.push_back(order);
        if (refuses) {
            shedder.take_back(order, now_ns);
            return;
        }
        if (order.step.kind == Kind::streams) {
            streams_taken = order.restore;
        } else if (order.step.kind == Kind::hook) {
            hooks[order.step.hook].attached = order.restore;
        } else if (order.step.kind == Kind::everything) {
            for (Hook& hook : hooks) {
                hook.attached = order.restore;
            }
        }
    }

    void run(double seconds)
    {
        for (const std::uint64_t end = now_ns + static_cast<std::uint64_t>(seconds * 1e9);
             now_ns < end;) {
            now_ns += 250 * kMs;
            Spending spending;
            spending.user_ns =
                static_cast<std::uint64_t>(user_ms / shedder.look_spacing() / 4 * 1e6);
            for (const Hook& hook : hooks) {
                const double ms = hook.attached ? hook.cost_ms : 0;
                spending.hooks.push_back(
                    {hook.need, hook.attached, static_cast<std::uint64_t>(ms / 4 * 1e6)});
            }
            const auto streams_ns =
                static_cast<std::uint64_t>(streams_taken ? streams_ms / 4 * 1e6 : 0);
            spending.streams = {streams_taken, streams_ns};
            spending.user_ns += streams_ns / 2;
            if (!spending.hooks.empty()) {
                spending.hooks[0].spent_ns += streams_ns / 2;
            }
            if (const auto order = shedder.review(now_ns, spending)) {
                obey(*order);
            }
        }
    }
};

TEST(Shedder, KeepsStillWithinTheBudget)
{
    Tool tool;
    tool.user_ms = 3;
    tool.hooks = {{1, 4}, {2, 2.9}};
    tool.run(60);
    EXPECT_TRUE(tool.orders.empty());
}

TEST(Shedder, WaitsForASecondPeriodWhenItIsALittleTooMuch)
{
    Tool tool;
    tool.hooks = {{1, 12}};
    tool.run(1);
    EXPECT_TRUE(tool.orders.empty());
    tool.run(1);
    ASSERT_EQ(tool.orders.size(), 1U);
    EXPECT_EQ(tool.orders[0].step, (ShedStep{Kind::hook, 0}));
    EXPECT_FALSE(tool.orders[0].restore);
    EXPECT_NEAR(tool.orders[0].share, 0.012, 1e-6);
}

TEST(Shedder, DoesNotWaitWhenItIsFarTooMuch)
{
    Tool tool;
    tool.hooks = {{1, 100}};
    tool.run(0.5);
    EXPECT_EQ(tool.orders.size(), 1U);
}

TEST(Shedder, OneShortBurstIsNoReason)
{
    Tool tool;
    tool.hooks = {{1, 12}};
    tool.run(1);
    tool.hooks[0].cost_ms = 5;
    tool.run(1);
    tool.hooks[0].cost_ms = 12;
    tool.run(1);
    EXPECT_TRUE(tool.orders.empty());
}

TEST(Shedder, ALookThatIsExpensiveNowAndThenIsNoReason)
{
    Tool tool;
    tool.hooks = {{1, 1}};
    for (int i = 0; i < 10; i++) {
        tool.user_ms = 4 * 50;  // for a quarter of a second
        tool.run(0.25);
        tool.user_ms = 0.1;
        tool.run(59.75);
    }
    EXPECT_TRUE(tool.orders.empty());
}

TEST(Shedder, TheLeastNeededGoesFirstAndOfTwoTheDearer)
{
    Tool tool;
    tool.hooks = {{0, 9.5}, {3, 30}, {1, 10}, {1, 20}, {2, 20}, {1, 0.1}};
    tool.run(10);
    std::vector<ShedStep> steps;
    for (const ShedOrder& order : tool.orders) {
        steps.push_back(order.step);
    }
    // a budget of 10 ms a second: what cannot go alone is all that is left
    EXPECT_EQ(steps, (std::vector<ShedStep>{
                         {Kind::hook, 3}, {Kind::hook, 2}, {Kind::hook, 4}, {Kind::hook, 1}}));
}

TEST(Shedder, WhatCannotGoAloneGoesWithEverything)
{
    Tool tool;
    tool.hooks = {{0, 15}, {1, 0.2}};
    tool.run(3);
    ASSERT_EQ(tool.orders.size(), 1U);
    EXPECT_EQ(tool.orders[0].step.kind, Kind::everything);
}

/// One run in some hundreds is timed: a few that were interrupted look like thousands.
TEST(Shedder, NothingGoesForOneReviewThatWasFarPastTheBudget)
{
    Tool tool;
    tool.hooks = {{0, 200}};
    tool.run(0.25);
    tool.hooks = {{0, 5}};
    tool.run(10);
    EXPECT_TRUE(tool.orders.empty());
}

TEST(Shedder, LooksComeLessOftenIfTheyAreWhatCosts)
{
    Tool tool;
    tool.user_ms = 35;
    tool.hooks = {{1, 1}};
    tool.run(10);
    ASSERT_EQ(tool.orders.size(), 2U);
    EXPECT_EQ(tool.orders[0].step.kind, Kind::slower_looks);
    EXPECT_EQ(tool.shedder.look_spacing(), 4U);
}

TEST(Shedder, LooksHaveALimitAndThenEverythingGoes)
{
    Tool tool;
    tool.user_ms = 1000;
    tool.hooks = {{0, 15}};
    tool.run(11);
    EXPECT_EQ(tool.shedder.look_spacing(), 16U);
    ASSERT_EQ(tool.orders.size(), 5U);
    EXPECT_EQ(tool.orders.back().step.kind, Kind::everything);
}

/// Without its hooks it would see less and cost the same.
TEST(Shedder, EverythingStaysIfTheHooksAreNotWhatCosts)
{
    Tool tool;
    tool.user_ms = 1000;
    tool.hooks = {{0, 1}};
    tool.run(60);
    EXPECT_EQ(tool.shedder.look_spacing(), 16U);
    EXPECT_EQ(tool.orders.size(), 4U);
    EXPECT_TRUE(std::all_of(tool.orders.begin(), tool.orders.end(), [](const ShedOrder& order) {
        return order.step.kind == Kind::slower_looks;
    }));
}

/// Its hooks were too much.
Tool polling_tool()
{
    Tool tool;
    tool.hooks = {{0, 50}};
    tool.run(1);
    EXPECT_EQ(tool.orders.size(), 1U);
    EXPECT_EQ(tool.orders.back().step.kind, Kind::everything);
    return tool;
}

/// Before the looks come less often, though most of it is spent in this process, and before a hook.
TEST(Shedder, StreamsGoFirstIfTheyAreWhatCosts)
{
    Tool tool;
    tool.user_ms = 5;
    tool.hooks = {{1, 3}, {1, 1}};
    tool.streams_ms = 20;
    tool.run(10);
    ASSERT_EQ(tool.orders.size(), 1U);
    EXPECT_EQ(tool.orders[0].step, ShedStep{Kind::streams});
    EXPECT_FALSE(tool.orders[0].restore);
    tool.streams_ms = 0.1;
    tool.user_ms = 1;
    tool.run(10);
    ASSERT_EQ(tool.orders.size(), 2U);
    EXPECT_EQ(tool.orders[1].step, ShedStep{Kind::streams});
    EXPECT_TRUE(tool.orders[1].restore);
    EXPECT_FALSE(tool.shedder.sheds());
}

TEST(Shedder, StreamsStayIfTheyAreNotWhatCosts)
{
    Tool tool;
    tool.hooks = {{1, 30}};
    tool.streams_ms = 0.2;
    tool.run(5);
    ASSERT_EQ(tool.orders.size(), 1U);
    EXPECT_EQ(tool.orders[0].step.kind, Kind::hook);
}

TEST(Shedder, WhatIsStillTooMuchWithoutStreamsGoesAfterThem)
{
    Tool tool;
    tool.hooks = {{1, 30}};
    tool.streams_ms = 20;
    tool.run(3);
    ASSERT_EQ(tool.orders.size(), 2U);
    EXPECT_EQ(tool.orders[0].step.kind, Kind::streams);
    EXPECT_EQ(tool.orders[1].step.kind, Kind::hook);
    tool.hooks[0].cost_ms = 1;
    tool.streams_ms = 1;
    tool.run(20);
    ASSERT_EQ(tool.orders.size(), 4U);
    EXPECT_EQ(tool.orders[2].step.kind, Kind::hook) << "the last comes back first";
    EXPECT_EQ(tool.orders[3].step.kind, Kind::streams);
}

TEST(Shedder, PollingIsLeftWhateverItCosts)
{
    Tool tool = polling_tool();
    tool.user_ms = 15;
    tool.run(4);
    EXPECT_EQ(tool.shedder.look_spacing(), 2U);
    tool.hooks[0].cost_ms = 1;
    tool.user_ms = 2;
    tool.run(2);
    EXPECT_EQ(tool.orders.back().step.kind, Kind::everything);
    EXPECT_TRUE(tool.orders.back().restore);
    EXPECT_EQ(tool.shedder.look_spacing(), 1U) << "that was for the polling";
    EXPECT_FALSE(tool.shedder.sheds());
}

TEST(Shedder, PollingHasOnlyItsLooksToShed)
{
    Tool tool;
    tool.user_ms = 1000;
    tool.run(20);
    EXPECT_EQ(tool.orders.size(), 4U);
}

TEST(Shedder, StepsAreTakenBackLastFirstWhenTheLoadIsGone)
{
    Tool tool;
    tool.hooks = {{1, 50}, {3, 50}};
    tool.run(2);
    ASSERT_EQ(tool.orders.size(), 2U);
    tool.hooks[0].cost_ms = tool.hooks[1].cost_ms = 1;
    tool.run(3);
    EXPECT_EQ(tool.orders.size(), 2U) << "not at once";
    tool.run(10);
    ASSERT_EQ(tool.orders.size(), 4U);
    EXPECT_EQ(tool.orders[2].step, (ShedStep{Kind::hook, 1}));
    EXPECT_TRUE(tool.orders[2].restore);
    EXPECT_EQ(tool.orders[3].step, (ShedStep{Kind::hook, 0}));
    EXPECT_FALSE(tool.shedder.sheds());
}

TEST(Shedder, NothingIsTakenBackWithoutRoomForIt)
{
    Tool tool;
    tool.user_ms = 6;
    tool.hooks = {{1, 50}};
    tool.run(1);
    ASSERT_EQ(tool.orders.size(), 1U);
    tool.hooks[0].cost_ms = 0;
    tool.run(60);
    EXPECT_EQ(tool.orders.size(), 1U) << "6 of 10 ms are more than half";
    tool.user_ms = 4;
    tool.run(2);
    EXPECT_EQ(tool.orders.size(), 2U);
}

TEST(Shedder, ALoadThatStaysIsTriedEverLessOften)
{
    Tool tool;
    tool.hooks = {{1, 50}};
    tool.run(600);
    // 5, 10, 20, ... up to 300 seconds apart
    EXPECT_GE(tool.orders.size(), 12U);
    EXPECT_LE(tool.orders.size(), 16U);
}

TEST(Shedder, PatienceIsShortAgainAfterALongCalm)
{
    Tool tool;
    tool.hooks = {{1, 50}};
    tool.run(100);
    tool.hooks[0].cost_ms = 1;
    tool.run(400);
    ASSERT_FALSE(tool.shedder.sheds());
    const std::size_t before = tool.orders.size();
    tool.hooks[0].cost_ms = 50;
    tool.run(1);
    tool.hooks[0].cost_ms = 1;
    tool.run(7);
    EXPECT_EQ(tool.orders.size(), before + 2);
}

TEST(Shedder, AJumpOfTheClockSaysNothing)
{
    Tool tool;
    tool.hooks = {{1, 9}};
    tool.run(0.75);
    tool.now_ns += 3600 * kSecond;
    tool.run(5);
    EXPECT_TRUE(tool.orders.empty());
    tool.now_ns -= 1800 * kSecond;
    tool.run(5);
    EXPECT_TRUE(tool.orders.empty());
    tool.hooks[0].cost_ms = 50;
    tool.run(1);
    EXPECT_EQ(tool.orders.size(), 1U) << "it goes on after that";
}

/// It polls on, and asks for the hooks again later, and later still.
TEST(Shedder, WhatCannotBeTakenBackIsTriedAgain)
{
    Tool tool = polling_tool();
    tool.hooks[0].cost_ms = 1;
    tool.refuses = true;
    tool.run(60);
    EXPECT_TRUE(tool.shedder.sheds());
    const std::size_t tried = tool.orders.size() - 1;
    EXPECT_GE(tried, 2U);
    EXPECT_LE(tried, 4U);
    tool.refuses = false;
    tool.run(60);
    EXPECT_FALSE(tool.shedder.sheds());
    EXPECT_TRUE(tool.orders.back().restore);
}

/// There is nothing to fall back to: that is tried, and told of, less and less often.
TEST(Shedder, WhatCannotBeShedIsTriedEverLater)
{
    Tool tool;
    tool.hooks = {{0, 50}};
    tool.refuses = true;
    std::vector<std::uint64_t> tried_ns;
    for (int i = 0; i < 4 * 600; i++) {
        const std::size_t before = tool.orders.size();
        tool.run(0.25);
        if (tool.orders.size() > before) {
            tried_ns.push_back(tool.now_ns);
        }
    }
    ASSERT_GE(tried_ns.size(), 10U);
    EXPECT_LE(tried_ns.size(), 16U);
    for (std::size_t i = 2; i < tried_ns.size(); i++) {
        const std::uint64_t waited_ns = tried_ns[i] - tried_ns[i - 1];
        EXPECT_GE(waited_ns, tried_ns[i - 1] - tried_ns[i - 2]) << i;
        EXPECT_LE(waited_ns, 61 * kSecond) << i;
    }
    EXPECT_FALSE(tool.shedder.sheds());
    tool.hooks[0].cost_ms = 1;
    tool.run(300);
    const std::size_t before = tool.orders.size();
    tool.hooks[0].cost_ms = 50;
    tool.run(4);
    EXPECT_EQ(tool.orders.size(), before + 2) << "after a long calm, as at first";
}

/// What can be done without goes meanwhile, and comes back as soon as ever.
TEST(Shedder, ARefusalHoldsNothingElseUp)
{
    Tool tool;
    tool.hooks = {{0, 50}, {1, 0}};
    tool.refuses = true;
    tool.run(20);
    tool.refuses = false;
    tool.hooks[1].cost_ms = 50;
    tool.run(1);
    EXPECT_EQ(tool.orders.back().step, (ShedStep{Kind::hook, 1}));
    EXPECT_FALSE(tool.orders.back().restore);
    tool.hooks[0].cost_ms = tool.hooks[1].cost_ms = 1;
    tool.run(8);
    EXPECT_TRUE(tool.orders.back().restore);
    EXPECT_FALSE(tool.shedder.sheds());
}

TEST(Shedder, NoBudgetIsNoLimit)
{
    Shedder shedder(0, 0);
    EXPECT_FALSE(
        shedder.review(10 * kSecond, {.user_ns = 10 * kSecond, .hooks = {}, .streams = {}}));
}

TEST(CostMeter, TimedRunsStandForTheOthers)
{
    constexpr std::uint64_t kWayNs = 40;
    CostMeter meter;
    EXPECT_EQ(meter.take({1000, 0, 0, kWayNs}), 1000 * (kWayNs + 100))
        << "a guess, until one was timed";
    EXPECT_EQ(meter.take({2024, 4, 200, kWayNs}), 1024 * (kWayNs + 50));
    EXPECT_EQ(meter.take({2124, 4, 200, kWayNs}), 100 * (kWayNs + 50)) << "as before";
    EXPECT_EQ(meter.take({2124, 4, 200, kWayNs}), 0U);
}

TEST(CostMeter, APartOfAHookHasNoWay)
{
    CostMeter meter;
    EXPECT_EQ(meter.take({256, 1, 50}), 256U * 50);
}

}  // namespace
}  // namespace drainwatch::shedder_test
