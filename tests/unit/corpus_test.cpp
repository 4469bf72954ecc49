#include "corpus/plan.hpp"
#include "corpus/report.hpp"
#include "corpus/results.hpp"
#include "corpus/score.hpp"

#include "durations.hpp"

#include <gtest/gtest.h>
#include <unistd.h>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>

namespace drainwatch::corpus::corpus_test {
namespace {

using test::kMs;

constexpr std::uint64_t kStart = 1'000'000 * kMs;

std::uint64_t at(std::uint64_t ms)
{
    return kStart + ms * kMs;
}

Said said(const std::string& event, std::uint64_t ms)
{
    return {event, event == "recovered" ? "info" : "warning", at(ms), at(ms), {}, false, {}};
}

Said zero_line(std::uint64_t read_ms, std::uint64_t announced_ms)
{
    Said line = said("zero_window", read_ms);
    line.announced_ns = at(announced_ms);
    return line;
}

Plan sleeping()
{
    Plan plan;
    plan.group = Group::stalls;
    plan.trouble = Trouble::sleep;
    return plan;
}

/// The reader stops at 1000 ms, the window closes at 3000, the trouble ends at 3200.
Observation stalled(std::vector<Said> lines)
{
    Observation run;
    run.watched_ns = at(0);
    run.trouble = {at(1000), at(3200)};
    Link link;
    link.last_read_ns = at(999);
    link.witness.first_unread_ns = at(1000);
    link.witness.zeros_ns = {at(3000)};
    link.witness.widened_ns = {at(1000)};
    link.said = std::move(lines);
    run.links = {link};
    return run;
}

Verdict judge_one(const Plan& plan, const Observation& run)
{
    return judge(plan, run).links.front();
}

TEST(CorpusPlan, IsTheSameForTheSameSeed)
{
    for (const std::string_view name : class_names()) {
        EXPECT_EQ(to_json(make_plan(name, 7)), to_json(make_plan(name, 7)));
        EXPECT_NE(to_json(make_plan(name, 7)), to_json(make_plan(name, 8))) << name;
    }
}

TEST(CorpusPlan, StaysWithinItsBounds)
{
    for (const std::string_view name : class_names()) {
        for (std::uint64_t seed = 0; seed < 200; seed++) {
            const Plan plan = make_plan(name, seed);
            ASSERT_EQ(plan.name, name);
            ASSERT_GE(plan.links, 1U);
            ASSERT_LE(plan.links, 48U);
            ASSERT_LE(plan.threads, std::max(plan.links, 4U));
            ASSERT_GE(plan.spacing_us, 400U) << name;
            ASSERT_LE(plan.message_bytes, 65'536U);
            ASSERT_LE(plan.trouble_ms, 45'000U) << name;
            for (const std::uint32_t pause : plan.pauses_ms) {
                ASSERT_LT(pause, 1000U);
            }
        }
    }
}

TEST(CorpusScore, AWarningBeforeZero)
{
    const auto v =
        judge_one(sleeping(), stalled({said("not_draining", 1200), zero_line(3001, 3000)}));
    EXPECT_EQ(v.zeros, 1U);
    EXPECT_EQ(v.warned, 1U);
    EXPECT_DOUBLE_EQ(v.possible_ms.value(), 2000);
    EXPECT_DOUBLE_EQ(v.lead_ms.value(), 1800);
    EXPECT_TRUE(v.stalled);
    EXPECT_TRUE(v.stall_told);
    EXPECT_TRUE(v.agrees);
    EXPECT_EQ(v.false_alarms, 0U);
    EXPECT_EQ(v.delay_ms, std::vector<double>{1});
}

TEST(CorpusScore, AWarningAfterZeroIsNone)
{
    const auto v =
        judge_one(sleeping(), stalled({said("not_draining", 3001), zero_line(3001, 3000)}));
    EXPECT_EQ(v.warned, 0U);
    EXPECT_DOUBLE_EQ(v.lead_ms.value(), 0);
    EXPECT_FALSE(v.stall_told) << "a second and a tenth were over at 2100";
}

TEST(CorpusScore, AWarningByAgeHasADelay)
{
    const auto v =
        judge_one(sleeping(), stalled({said("not_draining", 2005), zero_line(3001, 3000)}));
    EXPECT_TRUE(v.stall_told);
    EXPECT_EQ(v.delay_ms, (std::vector<double>{5, 1}));
}

TEST(CorpusScore, ZeroWindowsAreHeldAgainstTheCapture)
{
    EXPECT_FALSE(judge_one(sleeping(), stalled({said("not_draining", 1200)})).agrees)
        << "none told";
    EXPECT_FALSE(judge_one(sleeping(), stalled({zero_line(3001, 2997)})).agrees) << "3 ms off";
    Observation none = stalled({zero_line(3001, 3000)});
    none.links.front().witness.zeros_ns.clear();
    EXPECT_FALSE(judge_one(sleeping(), none).agrees) << "none captured";
}

TEST(CorpusScore, AnEstimateMayBeADelayedAcknowledgmentOff)
{
    for (const auto& [announced_ms, agrees] : {std::pair{2957U, true}, {2955U, false}}) {
        Said line = zero_line(3240, announced_ms);
        line.estimated = true;
        const auto v = judge_one(sleeping(), stalled({line}));
        EXPECT_EQ(v.agrees, agrees) << announced_ms;
        EXPECT_TRUE(v.estimated);
    }
}

TEST(CorpusScore, WhatTheHostTookIsNotHeldAgainstATime)
{
    Observation run = stalled({zero_line(3001, 2996)});
    run.stalls = {{at(2990), at(2997)}, {at(2997), at(2999)}};
    EXPECT_TRUE(judge_one(sleeping(), run).agrees) << "4 ms off, 2 of them on a CPU that stood";
    run.stalls = {{at(2990), at(2997)}, {at(2999), at(3100)}};
    EXPECT_FALSE(judge_one(sleeping(), run).agrees) << "1 of them";
}

TEST(CorpusScore, AWarningWithoutTroubleIsFalse)
{
    Plan healthy;
    Observation run = stalled({said("falling_behind", 1200), said("recovered", 1500)});
    run.trouble = {};
    run.links.front().witness.zeros_ns.clear();
    EXPECT_EQ(judge_one(healthy, run).false_alarms, 1U);
    run.links.front().witness.zeros_ns = {at(1400)};
    EXPECT_EQ(judge_one(healthy, run).false_alarms, 0U) << "a zero window came";
}

TEST(CorpusScore, AWarningOfAPeerThatIsHeldBackIsCountedApart)
{
    Plan slow;
    slow.trouble = Trouble::too_slow;
    Observation run = stalled({said("falling_behind", 1200), said("recovered", 1500)});
    run.links.front().witness.zeros_ns.clear();
    run.links.front().witness.holds_ns = {at(1400)};
    Verdict v = judge_one(slow, run);
    EXPECT_EQ(v.false_alarms, 0U);
    EXPECT_EQ(v.held_back, 1U);
    EXPECT_EQ(v.zeros, 0U);
    run.links.front().witness.holds_ns = {at(1100)};
    EXPECT_EQ(judge_one(slow, run).false_alarms, 1U) << "that was before";
}

TEST(CorpusScore, APauseLongerThanAnyBeforeIsCountedApart)
{
    Plan plan;
    plan.trouble = Trouble::pauses;
    Observation run = stalled({said("not_draining", 2300), said("recovered", 2700)});
    run.trouble = {};
    run.links.front().witness.zeros_ns.clear();
    run.links.front().gaps = {{at(1000), at(1200)}, {at(2000), at(2500)}};
    Verdict v = judge_one(plan, run);
    EXPECT_EQ(v.false_alarms, 0U);
    EXPECT_EQ(v.cleared_ms, std::vector<double>{200});
    run.links.front().gaps = {{at(1000), at(1600)}};  // that of 500 ms is not in the log then
    v = judge_one(plan, run);
    EXPECT_EQ(v.false_alarms, 1U) << "it had paused for longer before";
    EXPECT_TRUE(v.cleared_ms.empty());
}

TEST(CorpusScore, AGapOfTheSchedulersIsNoPause)
{
    Plan plan;
    Observation run = stalled({said("falling_behind", 2015), said("recovered", 2100)});
    run.trouble = {};
    run.links.front().witness.zeros_ns.clear();
    run.links.front().gaps = {{at(2000), at(2019)}};
    EXPECT_EQ(judge_one(plan, run).false_alarms, 1U);
    run.links.front().gaps = {{at(2000), at(2020)}};
    EXPECT_EQ(judge_one(plan, run).new_pauses, 1U);
}

TEST(CorpusScore, AWarningThatIsNeverOver)
{
    Plan plan;
    plan.trouble = Trouble::pauses;
    Observation run = stalled({said("not_draining", 2300)});
    run.trouble = {};
    run.links.front().witness.zeros_ns.clear();
    run.links.front().gaps = {{at(2000), at(2500)}};
    run.ended_ns = at(3499);
    EXPECT_EQ(judge_one(plan, run).never_cleared, 0U) << "nobody waited for it";
    run.ended_ns = at(3500);
    const Verdict v = judge_one(plan, run);
    EXPECT_EQ(v.never_cleared, 1U);
    EXPECT_EQ(v.new_pauses, 1U);
    EXPECT_TRUE(v.cleared_ms.empty());

    Observation over = stalled({said("not_draining", 1200), zero_line(3001, 3000)});
    over.ended_ns = at(4200);
    EXPECT_EQ(judge_one(sleeping(), over).never_cleared, 1U) << "the trouble ended at 3200";
    over.links.front().said.push_back(said("recovered", 4100));
    EXPECT_EQ(judge_one(sleeping(), over).never_cleared, 0U);
}

TEST(CorpusScore, EveryEpisodeHasItsZeroWindow)
{
    Observation run = stalled({said("not_draining", 1200), zero_line(2001, 2000),
                               said("recovered", 2100), zero_line(3001, 3000)});
    run.links.front().witness.zeros_ns = {at(2000), at(2050), at(3000), at(3300)};
    const Verdict v = judge_one(sleeping(), run);
    EXPECT_EQ(v.zeros, 2U) << "that of 2050 is of the same episode, that of 3300 after the trouble";
    EXPECT_EQ(v.warned, 1U);
}

TEST(CorpusScore, NobodyCanWarnOfASuddenOne)
{
    Plan healthy;
    Observation run = stalled({zero_line(3001, 3000)});
    run.trouble = {};
    run.links.front().witness.widened_ns = {at(2981)};
    EXPECT_EQ(judge_one(healthy, run).sudden, 1U);
    EXPECT_EQ(judge_one(healthy, run).zeros, 0U);
    run.links.front().witness.widened_ns = {at(2980)};
    EXPECT_EQ(judge_one(healthy, run).sudden, 0U);
    EXPECT_EQ(judge_one(healthy, run).zeros, 1U);
}

TEST(CorpusScore, AStarvedReaderIsSilentByItsOwnLog)
{
    Plan plan = sleeping();
    plan.trouble = Trouble::starvation;
    Observation run = stalled({said("falling_behind", 1900)});
    run.links.front().gaps = {{at(1100), at(2150)}};
    EXPECT_FALSE(judge_one(plan, run).stalled) << "not much longer than a second";
    run.links.front().gaps = {{at(1100), at(2400), at(2150)}};
    EXPECT_FALSE(judge_one(plan, run).stalled) << "it may have read long before it could note it";
    run.links.front().gaps = {{at(1100), at(2400)}};
    EXPECT_TRUE(judge_one(plan, run).stalled);
    EXPECT_TRUE(judge_one(plan, run).stall_told);
    run.links.front().said.front().read_ns = at(2201);
    EXPECT_FALSE(judge_one(plan, run).stall_told);
}

TEST(CorpusScore, AResetWithUnreadDataIsToBeTold)
{
    Plan plan = sleeping();
    plan.reset = true;
    Observation run = stalled({said("not_draining", 1200), zero_line(3001, 3000)});
    run.links.front().witness.reset_ns = at(3201);
    EXPECT_TRUE(judge_one(plan, run).reset);
    EXPECT_FALSE(judge_one(plan, run).reset_told);
    run.links.front().said.push_back(said("link_reset", 3203));
    EXPECT_TRUE(judge_one(plan, run).reset_told);
}

TEST(CorpusScore, WhereAllIsWellAnyAlarmIsFalse)
{
    Plan healthy;
    Observation run = stalled({said("link_flapping", 1500)});
    run.trouble = {};
    run.links.front().witness.zeros_ns.clear();
    run.strays = {said("not_draining", 1200), said("incident", 1200), said("lost", 1300),
                  said("degraded", 1300)};
    EXPECT_EQ(judge_one(healthy, run).false_alarms, 1U);
    EXPECT_EQ(judge(healthy, run).stray_alarms, 2U)
        << "an incident stands for lines of its own; that something was lost is true";
    EXPECT_EQ(judge(sleeping(), run).stray_alarms, 1U) << "of a socket that is none of the run's";
}

TEST(CorpusScore, AWarningOfALongSilenceIsRight)
{
    Plan healthy;  // which the machine kept from running
    Observation run = stalled({said("not_draining", 2100), said("recovered", 2700)});
    run.trouble = {};
    run.links.front().witness.zeros_ns.clear();
    run.links.front().gaps = {{at(1000), at(2500)}};
    const Verdict v = judge_one(healthy, run);
    EXPECT_EQ(v.false_alarms, 0U);
    EXPECT_TRUE(v.cleared_ms.empty());
}

TEST(CorpusScore, AWarningThatWasClearedIsNotOneOfAZeroWindow)
{
    const auto v = judge_one(sleeping(), stalled({said("not_draining", 1200),
                                                  said("recovered", 1400), zero_line(3001, 3000)}));
    EXPECT_EQ(v.warned, 0U);
    EXPECT_DOUBLE_EQ(v.lead_ms.value(), 0);
}

TEST(CorpusScore, ALateWarningHasItsDelay)
{
    const auto v =
        judge_one(sleeping(), stalled({said("not_draining", 2500), zero_line(3001, 3000)}));
    EXPECT_FALSE(v.stall_told);
    EXPECT_EQ(v.delay_ms, (std::vector<double>{500, 1}));
}

TEST(CorpusScore, AZeroWindowTheCaptureDoesNotHaveIsInvented)
{
    EXPECT_FALSE(judge_one(sleeping(), stalled({said("not_draining", 1200), zero_line(3001, 3000),
                                                zero_line(3101, 3100)}))
                     .agrees);
}

TEST(CorpusScore, LeadOfAReaderThatReadsIsHeldAgainstTheHorizon)
{
    Plan plan;
    plan.trouble = Trouble::too_slow;
    Observation run = stalled({said("falling_behind", 15'500), zero_line(20'000, 20'000)});
    run.trouble = {at(1000), at(20'100)};
    run.links.front().witness.zeros_ns = {at(20'000)};
    const auto v = judge_one(plan, run);
    EXPECT_DOUBLE_EQ(v.possible_ms.value(), 5000);
    EXPECT_DOUBLE_EQ(v.lead_ms.value(), 4500);
    EXPECT_FALSE(v.stalled);
}

TEST(CorpusScore, ForecastAtHalfOfTheTime)
{
    Observation run = stalled({said("not_draining", 1200), zero_line(3001, 3000)});
    for (const auto& [ms, zero_in] : {std::pair{2000U, 5000U}, {2100U, 1080U}, {2200U, 1U}}) {
        Said line = said("queue", ms);
        line.zero_in_ms = zero_in;
        run.links.front().said.insert(run.links.front().said.end() - 1, line);
    }
    EXPECT_NEAR(judge_one(sleeping(), run).forecast_error.value(), 0.2, 1e-9);
}

TEST(CorpusScore, ATooLateWatchIsNotHeldResponsible)
{
    Observation run = stalled({said("not_draining", 3500)});
    run.watched_ns = at(3100);
    const auto v = judge_one(sleeping(), run);
    EXPECT_EQ(v.zeros, 0U);
    EXPECT_TRUE(v.agrees);
}

Result result_with(Verdict verdict)
{
    Result result;
    result.name = "sleep";
    result.seed = 1;
    result.verdicts = {std::move(verdict)};
    result.version = "0.1.0 (abc)";
    return result;
}

Result broken(const std::string& name, std::uint64_t seed)
{
    Result result;
    result.name = name;
    result.seed = seed;
    result.broken = "tcpdump did not start";
    return result;
}

Verdict good()
{
    Verdict v;
    v.zeros = v.warned = 1;
    v.stalled = v.stall_told = v.reset = v.reset_told = true;
    v.possible_ms = 1000;
    v.lead_ms = 950;
    v.forecast_error = 0.1;
    v.delay_ms = {1, 2};
    v.estimated = true;
    return v;
}

TEST(CorpusReport, SaysWhichGoalsWereMissed)
{
    EXPECT_TRUE(is_clean(make_report({result_with(good())})));
    for (const auto& spoil : std::vector<void (*)(Verdict&)>{
             [](Verdict& v) { v.warned = 0; }, [](Verdict& v) { v.stall_told = false; },
             [](Verdict& v) { v.reset_told = false; }, [](Verdict& v) { v.never_cleared = 1; },
             [](Verdict& v) { v.false_alarms = 1; }, [](Verdict& v) { v.agrees = false; }}) {
        Verdict v = good();
        spoil(v);
        const Report report = make_report({result_with(v), result_with(good())});
        EXPECT_FALSE(is_clean(report));
        EXPECT_EQ(std::count_if(report.goals.begin(), report.goals.end(),
                                [](const Goal& goal) { return !goal.met; }),
                  1);
    }
    EXPECT_FALSE(is_clean(make_report({broken("sleep", 1)})));
}

TEST(CorpusReport, ShortLeadsDoNotCount)
{
    Verdict v = good();
    v.possible_ms = 199;
    v.lead_ms = 0;
    EXPECT_TRUE(make_report({result_with(v)}).bpf.lead_share.empty());
}

TEST(CorpusReport, TiersStandApart)
{
    Result polled = result_with(good());
    polled.name = "poll-sleep";
    const Report report = make_report({result_with(good()), polled});
    EXPECT_EQ(report.bpf.runs, 1U);
    EXPECT_EQ(report.polled.runs, 1U);
    EXPECT_EQ(report.rows.size(), 2U);
}

TEST(CorpusResults, SurviveTheirFile)
{
    const std::string path =
        std::filesystem::temp_directory_path() / ("drainwatch-corpus-" + std::to_string(getpid()));
    {
        ResultFile file(path);
        file.add(result_with(good()));
        file.add(broken("sigstop", 2));
    }
    std::ofstream(path, std::ios::app) << "{\"class\":\"sle";  // stopped in the middle
    {
        ResultFile again(path);
        ASSERT_EQ(again.all().size(), 1U) << "what broke is run again";
        EXPECT_EQ(to_line(again.all().front()), to_line(result_with(good())));
        EXPECT_TRUE(again.has("sleep", 1));
        EXPECT_FALSE(again.has("sleep", 2));
        EXPECT_FALSE(again.has("sigstop", 2));
        again.add(result_with(good()));
    }
    const ResultFile whole(path);
    std::remove(path.c_str());
    EXPECT_EQ(whole.all().size(), 2U) << "what came after the half line is not lost";
}

}  // namespace
}  // namespace drainwatch::corpus::corpus_test
