#include "detect/incidents.hpp"

#include "durations.hpp"

#include <gtest/gtest.h>

namespace drainwatch::incidents_test {
namespace {

using test::kBegin;
using test::kMs;

using Kind = Alert::Kind;
using State = Incident::State;

const Process kGip{"gip", 42};

/// Of one socket for each episode.
Alert alert(Kind kind, std::uint64_t episode, std::uint64_t at_ns,
            Severity severity = Severity::warning)
{
    Alert a;
    a.sample.cookie = Cookie{100 + episode};
    a.kind = kind;
    a.episode = episode;
    a.at_ns = at_ns;
    a.severity = severity;
    a.reading.age_ns = at_ns - kBegin;
    return a;
}

/// Nothing is told of these at once.
void raise(Incidents& incidents, std::uint64_t episode, std::uint64_t at_ns,
           const Process& process = kGip)
{
    EXPECT_FALSE(incidents.note(alert(Kind::not_draining, episode, at_ns), process));
}

TEST(Incidents, SocketsThatStopTogetherAreOne)
{
    Incidents incidents;
    EXPECT_FALSE(incidents.due_ns());
    raise(incidents, 1, kBegin);
    EXPECT_EQ(incidents.due_ns(), kBegin + 1000 * kMs);
    raise(incidents, 2, kBegin + 100 * kMs);
    raise(incidents, 3, kBegin + 999 * kMs);
    EXPECT_TRUE(incidents.due(kBegin + 999 * kMs).empty());
    const auto told = incidents.due(kBegin + 1000 * kMs);
    ASSERT_EQ(told.size(), 1U);
    EXPECT_EQ(told.front().state, State::raised);
    EXPECT_EQ(told.front().number, 1U);
    EXPECT_EQ(told.front().process.pid, 42U);
    EXPECT_EQ(told.front().began_ns, kBegin);
    EXPECT_EQ(told.front().episodes, (std::vector<std::uint64_t>{1, 2, 3}));
    EXPECT_EQ(told.front().worst.episode, 3U) << "its data is the oldest";
    EXPECT_FALSE(incidents.due_ns());
    EXPECT_FALSE(incidents.note(alert(Kind::recovered, 2, kBegin + 5000 * kMs), kGip));
    EXPECT_FALSE(incidents.note(alert(Kind::link_reset, 1, kBegin + 5001 * kMs), kGip));
    const auto over = incidents.note(alert(Kind::recovered, 3, kBegin + 5002 * kMs), kGip);
    ASSERT_TRUE(over);
    EXPECT_EQ(over->state, State::over);
    EXPECT_EQ(over->number, 1U);
    EXPECT_EQ(over->at_ns, kBegin + 5002 * kMs);
}

TEST(Incidents, OneSocketIsNone)
{
    Incidents incidents;
    raise(incidents, 1, kBegin);
    raise(incidents, 2, kBegin + 1000 * kMs);
    raise(incidents, 3, kBegin + 10 * kMs, {"other", 43});
    EXPECT_TRUE(incidents.due(kBegin + 1500 * kMs).empty());
    EXPECT_TRUE(incidents.due(kBegin + 9000 * kMs).empty());
    for (const std::uint64_t episode : {1U, 2U, 3U}) {
        EXPECT_FALSE(incidents.is_spoken_for(episode));
        EXPECT_FALSE(incidents.note(alert(Kind::recovered, episode, kBegin + 9001 * kMs), kGip));
    }
}

TEST(Incidents, OneSocketThatStopsAgainAndAgainIsNone)
{
    Incidents incidents;
    for (std::uint64_t episode = 1; episode <= 3; episode++) {
        Alert again = alert(Kind::zero_window, episode, kBegin + episode * 300 * kMs);
        again.sample.cookie = Cookie{77};
        EXPECT_FALSE(incidents.note(again, kGip));
        EXPECT_FALSE(incidents.is_spoken_for(episode));
        again.kind = Kind::recovered;
        EXPECT_FALSE(incidents.note(again, kGip));
    }
    EXPECT_TRUE(incidents.due(kBegin + 1300 * kMs).empty());
    EXPECT_FALSE(incidents.due_ns());
}

TEST(Incidents, IsRaisedOnceMoreWhenItBecomesCritical)
{
    Incidents incidents;
    raise(incidents, 1, kBegin);
    raise(incidents, 2, kBegin + 1 * kMs);
    EXPECT_EQ(incidents.due(kBegin + 1000 * kMs).size(), 1U);
    const auto critical = [&](std::uint64_t episode) {
        return incidents.note(
            alert(Kind::not_draining, episode, kBegin + 1001 * kMs, Severity::critical), kGip);
    };
    const auto again = critical(2);
    ASSERT_TRUE(again);
    EXPECT_EQ(again->state, State::raised);
    EXPECT_EQ(again->number, 1U);
    EXPECT_EQ(again->worst.severity, Severity::critical);
    EXPECT_FALSE(critical(1)) << "once";
}

TEST(Incidents, OverBeforeItWasTold)
{
    Incidents incidents;
    raise(incidents, 1, kBegin);
    raise(incidents, 2, kBegin + 1 * kMs);
    EXPECT_FALSE(incidents.note(alert(Kind::recovered, 1, kBegin + 500 * kMs), kGip));
    EXPECT_FALSE(incidents.note(alert(Kind::ended, 2, kBegin + 501 * kMs), kGip));
    const auto told = incidents.due(kBegin + 1000 * kMs);
    ASSERT_EQ(told.size(), 2U);
    EXPECT_EQ(told[0].state, State::raised);
    EXPECT_EQ(told[1].state, State::over);
    EXPECT_FALSE(incidents.is_spoken_for(1));
}

TEST(Incidents, AtTheEndOfTheWatchIsToldAsItIs)
{
    Incidents incidents;
    raise(incidents, 1, kBegin);
    raise(incidents, 2, kBegin + 1 * kMs);
    EXPECT_TRUE(incidents.due(kBegin + 300 * kMs).empty());
    const auto told = incidents.last(kBegin + 300 * kMs);
    ASSERT_EQ(told.size(), 1U);
    EXPECT_EQ(told.front().at_ns, kBegin + 300 * kMs);
}

TEST(Incidents, TheFirstSpeaksForItselfTheOthersAreSpokenFor)
{
    Incidents incidents;
    raise(incidents, 1, kBegin);
    EXPECT_FALSE(incidents.is_spoken_for(1));
    raise(incidents, 2, kBegin + 1 * kMs);
    EXPECT_FALSE(incidents.is_spoken_for(1));
    EXPECT_TRUE(incidents.is_spoken_for(2));
    EXPECT_EQ(incidents.due(kBegin + 1000 * kMs).size(), 1U);
    EXPECT_TRUE(incidents.is_spoken_for(1));
    EXPECT_FALSE(incidents.is_spoken_for(3));
}

TEST(Incidents, WhatLiesOutsideOfEpisodesIsLeftAlone)
{
    Incidents incidents;
    EXPECT_FALSE(incidents.note(alert(Kind::link_reset, 0, kBegin), kGip));
    EXPECT_FALSE(incidents.note(alert(Kind::queue, 1, kBegin), kGip));
    EXPECT_FALSE(incidents.due_ns());
}

}  // namespace
}  // namespace drainwatch::incidents_test
