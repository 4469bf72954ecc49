/// A monitor that is spared the samples of sockets where nothing but time changes, beside one that
/// is given all of them: they say the same.
#include "detect/monitor.hpp"

#include "durations.hpp"
#include "link.hpp"

#include <gtest/gtest.h>
#include <algorithm>
#include <optional>
#include <random>
#include <tuple>
#include <vector>

namespace drainwatch::monitor_unchanged_test {
namespace {

using test::kBegin;
using test::kMs;
using test::kSecond;
using test::Link;

auto all_of(const Alert& a)
{
    const Reading& r = a.reading;
    return std::make_tuple(a.kind, a.severity, a.at_ns, a.episode, a.reason, a.zero_in_s,
                           a.duration_ns, a.max_queue_bytes, a.zero_windows, a.lead_ns,
                           a.sample.taken_ns, r.at_ns, r.unread_bytes, r.age_ns, r.silent_ns,
                           r.since_read_ns, r.to_zero_bytes, r.arrival_bytes_per_s,
                           r.drain_bytes_per_s, r.closed, r.reads);
}

/// Both of them.
class Monitors {
public:
    void look(const SocketSample& sample)
    {
        const auto expected = with_all_.observe(sample);
        const bool may_be_spared = spared_.all_told().contains(sample.cookie);
        std::vector<Alert> found;
        if (may_be_spared && content_of(sample) == content_) {
            spared_.unchanged(sample.cookie, sample.taken_ns);
            spared++;
        } else {
            found = spared_.observe(sample);
        }
        content_ = content_of(sample);
        expect_same(expected, found);
        expect_same(with_all_.standing(), spared_.standing());
        EXPECT_EQ(with_all_.next_threshold_ns(0), spared_.next_threshold_ns(0));
        EXPECT_EQ(with_all_.awaits_zero(), spared_.awaits_zero());
        EXPECT_EQ(with_all_.wants_close_look(), spared_.wants_close_look());
    }

    void notice(const SocketNotice& notice, const std::optional<SocketSample>& sample)
    {
        expect_same(with_all_.notice(notice, sample), spared_.notice(notice, sample));
    }

    void gone(Cookie cookie, std::uint64_t now_ns)
    {
        expect_same(with_all_.gone(cookie, now_ns), spared_.gone(cookie, now_ns));
    }

    unsigned spared = 0;
    std::size_t told = 0;

private:
    using Content = std::tuple<std::uint32_t, std::uint32_t, std::uint64_t, bool, std::uint32_t>;

    static Content content_of(const SocketSample& s)
    {
        return {s.window.copied_seq, s.data_end, s.last_read_ns, s.closed, s.zero_count};
    }

    void expect_same(const std::vector<Alert>& expected, const std::vector<Alert>& found)
    {
        ASSERT_EQ(found.size(), expected.size());
        for (std::size_t i = 0; i < expected.size(); i++) {
            EXPECT_EQ(all_of(found[i]), all_of(expected[i]));
        }
        told += expected.size();
    }

    Monitor with_all_{Limits{}};
    Monitor spared_{Limits{}};
    Content content_;
};

TEST(MonitorUnchanged, SaysTheSameWhateverHappens)
{
    std::mt19937 random(8765);  // NOLINT(cert-msc51-cpp): the same each time
    const auto one_in = [&](unsigned n) { return random() % n == 0; };
    Monitors monitors;
    Link link;
    for (std::uint64_t now = kBegin; now < kBegin + 2000 * kSecond; now += 50 * kMs) {
        const std::uint64_t before = now - 20 * kMs;
        if (one_in(60)) {
            link.arrive(1 + random() % 2000, before);
        }
        if (one_in(200) && link.sample(now).unread_bytes() != 0) {
            link.read(1 + random() % link.sample(now).unread_bytes(), before);
        }
        if (one_in(400)) {
            link.read_all(before);
        }
        if (one_in(300)) {
            const bool closed = link.raw().closed;
            closed ? link.open_window(before) : link.close_window(before);
            if (one_in(2)) {  // else the notice was lost
                monitors.notice(link.notice(closed ? SocketNotice::Kind::reopened
                                                   : SocketNotice::Kind::zero_window,
                                            before, link.raw().zero_count),
                                one_in(2) ? std::optional(link.sample(now)) : std::nullopt);
            }
        }
        monitors.look(link.sample(now));
        if (one_in(2000)) {
            monitors.gone(link.raw().cookie, now + 7 * kMs);
        }
    }
    EXPECT_GT(monitors.told, 1000U) << "how episodes stand, at each look";
    EXPECT_GT(monitors.spared, 1000U);
}

TEST(MonitorUnchanged, IsNothingAboutAStranger)
{
    Monitor monitor{Limits{}};
    monitor.unchanged(Cookie{1}, kBegin);
    EXPECT_TRUE(monitor.followed().empty());
}

TEST(MonitorUnchanged, AllIsToldFromTheCriticalEventUntilItIsReadOrTheSourceChanges)
{
    Monitor monitor{Limits{}};
    Link link;
    link.arrive(1000, kBegin);
    const auto told_at = [&](std::uint64_t at_ns) {
        (void)monitor.observe(link.sample(at_ns));
        return monitor.all_told().contains(link.raw().cookie);
    };
    EXPECT_FALSE(told_at(kBegin + 1500 * kMs));
    EXPECT_TRUE(told_at(kBegin + 2500 * kMs));
    monitor.source_changed();
    EXPECT_TRUE(monitor.all_told().empty());
    EXPECT_TRUE(told_at(kBegin + 3 * kSecond));
    link.read(1, kBegin + 3100 * kMs);
    EXPECT_FALSE(told_at(kBegin + 3200 * kMs));
}

}  // namespace
}  // namespace drainwatch::monitor_unchanged_test
