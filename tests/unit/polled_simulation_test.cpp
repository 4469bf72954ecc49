/// Links whose true arrivals and reads are known, looked at now and then: what is shown is held
/// against the truth.
#include "detect/monitor.hpp"
#include "durations.hpp"
#include "kernel_socket.hpp"
#include "link.hpp"
#include "poll/polled_socket.hpp"
#include "state/history.hpp"
#include "state/reading.hpp"

#include <gtest/gtest.h>
#include <iterator>
#include <random>

namespace drainwatch::polled_simulation_test {
namespace {

using test::kBegin;
using test::KernelSocket;
using test::kMs;
using test::kSecond;
using test::Tells;

constexpr std::uint64_t kJiffyNs = KernelSocket::kJiffyMs * kMs;
constexpr std::uint64_t kWarnAfter = kSecond;

struct Shape {
    Tells tells = Tells::counters;
    std::uint64_t spacing_ns = 20 * kMs;       ///< of arrivals, on average
    std::uint64_t read_spacing_ns = 30 * kMs;  ///< of reads, on average
    bool reads_all = true;
    double stalls = 0;  ///< share of the reads before which it stalls
    std::uint64_t first_byte = 0;
};

/// The truth, played event by event.
class Play {
public:
    Play(const Shape& shape, std::uint32_t seed)
        : shape_(shape), random_(seed), kernel_(shape.tells, shape.first_byte)
    {
        kernel_.memory.rcvbuf = 128U << 20;  // no zero window is near
        kernel_.window = 64U << 20;
    }

    [[nodiscard]] std::uint64_t uniform(std::uint64_t least, std::uint64_t most)
    {
        return std::uniform_int_distribution<std::uint64_t>(least, most)(random_);
    }

    /// Up to and with `end_ns`.
    void play_until(std::uint64_t end_ns)
    {
        while (std::min(arrives_ns_, reads_ns_) <= end_ns) {
            if (arrives_ns_ <= reads_ns_) {
                kernel_.arrive(static_cast<std::uint32_t>(uniform(14, 3000)), arrives_ns_);
                arrives_ns_ += uniform(1, 2 * shape_.spacing_ns);
                continue;
            }
            if (shape_.reads_all) {
                kernel_.read_all(reads_ns_);
            } else {
                kernel_.read(uniform(1, 4000), reads_ns_);
            }
            reads_ns_ += uniform(1, 2 * shape_.read_spacing_ns);
            if (std::bernoulli_distribution(shape_.stalls)(random_)) {
                reads_ns_ += uniform(200 * kMs, 4 * kSecond);
            }
        }
    }

    /// What the kernel answers from now on: it reads the queue first, the rest a little later.
    SocketState answer(std::uint64_t& now_ns)
    {
        play_until(now_ns);
        SocketState state = kernel_.state(now_ns);
        at_queue_ = kernel_;
        now_ns += uniform(1'000, 100'000);
        play_until(now_ns);
        state.info = kernel_.state(now_ns).info;
        now_ns += uniform(1'000, 100'000);
        play_until(now_ns);
        return state;
    }

    [[nodiscard]] const KernelSocket& now() const { return kernel_; }
    [[nodiscard]] const KernelSocket& at_queue() const { return at_queue_; }

private:
    Shape shape_;
    std::mt19937 random_;
    KernelSocket kernel_;
    KernelSocket at_queue_ = kernel_;
    std::uint64_t arrives_ns_ = kBegin;
    std::uint64_t reads_ns_ = kBegin;
};

/// Looks, and checks each against the truth.
class Checked {
public:
    Checked(const Shape& shape, std::uint32_t seed)
        : shape_(shape),
          play_(shape, seed),
          now_ns_(kBegin),
          socket_(play_.answer(now_ns_), {}, 1, 0, now_ns_)
    {
        first_read_ = socket_.slot().copied_seq;
        truly_first_read_ = play_.at_queue().copied();
    }

    void run(std::uint64_t longest_look_ns, int looks)
    {
        for (int i = 0; i < looks && !::testing::Test::HasFailure(); i++) {
            now_ns_ += play_.uniform(1 * kMs, longest_look_ns);
            const std::uint64_t data_end = socket_.slot().data_end;
            const std::uint64_t read = socket_.slot().copied_seq;
            look();
            if (socket_.state().recv_queue > 0 && socket_.state().info) {
                look();  // the second question
            }
            check_progress();
            EXPECT_GE(static_cast<std::int32_t>(socket_.slot().data_end - data_end), 0);
            EXPECT_GE(static_cast<std::int32_t>(socket_.slot().copied_seq - read), 0);
            check_times(longest_look_ns);
        }
    }

private:
    void look()
    {
        const SocketState state = play_.answer(now_ns_);
        socket_.update(state, kWarnAfter, now_ns_);
        EXPECT_EQ(socket_.sample().unread_bytes(), state.recv_queue);
    }

    void check_progress()
    {
        const auto shown = socket_.slot().copied_seq - first_read_;
        const auto truth = play_.at_queue().copied() - truly_first_read_;
        EXPECT_LE(shown, truth);
        const SocketSample s = socket_.sample();
        EXPECT_LE(s.last_read_ns, now_ns_);
        EXPECT_EQ(s.unread.empty(), s.unread_bytes() == 0);
    }

    /// While the truth stood still during both questions, it is what is shown.
    void check_times(std::uint64_t longest_look_ns)
    {
        const SocketSample s = socket_.sample();
        const KernelSocket& truth = play_.at_queue();
        if (s.unread.empty()) {
            return;
        }
        const std::uint64_t silent_since = std::max(truth.oldest_ns(), truth.last_read_ns());
        const std::uint64_t shown_since = std::max(s.unread.front().at_ns, s.last_read_ns);
        // Never much later than the truth: a stall is not missed. A read is seen by two looks,
        // or later if data comes in between the two questions of each of them.
        EXPECT_LE(shown_since, silent_since + 4 * longest_look_ns + kJiffyNs);
        if (shape_.tells != Tells::counters) {
            return;  // then a read may be missed, and silence be over-stated
        }
        const std::uint64_t settled = now_ns_ - 2 * kMs;
        if (truth.newest_ns() > settled || truth.last_read_ns() > settled) {
            return;
        }
        EXPECT_GE(shown_since + kJiffyNs, silent_since);
        if (shape_.reads_all) {
            EXPECT_GE(s.unread.front().at_ns + kJiffyNs, truth.oldest_ns());
        }
    }

    Shape shape_;
    Play play_;
    std::uint64_t now_ns_;
    std::uint64_t truly_first_read_ = 0;
    std::uint32_t first_read_ = 0;
    PolledSocket socket_;
};

struct Named {
    const char* name;
    Shape shape;
};

const Named kShapes[] = {
    {"quick", {}},
    {"slow link", {Tells::counters, 300 * kMs, 30 * kMs}},
    {"batches", {Tells::counters, 4 * kMs, 400 * kMs}},
    {"stalls", {Tells::counters, 20 * kMs, 30 * kMs, true, 0.05}},
    {"partial reads", {Tells::counters, 20 * kMs, 18 * kMs, false}},
    {"partial reads and stalls", {Tells::counters, 20 * kMs, 10 * kMs, false, 0.01}},
    {"past 4 GB", {Tells::counters, 2 * kMs, 5 * kMs, true, 0.001, (1ULL << 32) - 1'000'000}},
    {"flood", {Tells::counters, 100'000, 150'000, true, 0.0001}},
    {"flood, partial", {Tells::counters, 100'000, 110'000, false}},
    {"no counters", {Tells::times, 20 * kMs, 30 * kMs, true, 0.05}},
    {"no counters, often", {Tells::times, 2 * kMs, 30 * kMs, true, 0.05}},
    {"no counters, partial", {Tells::times, 4 * kMs, 5 * kMs, false, 0.01}},
    {"queue alone", {Tells::nothing, 20 * kMs, 30 * kMs, true, 0.05}},
};

TEST(PolledSimulation, ShowsNoMoreThanTheTruthAndNoMuchLess)
{
    for (const Named& named : kShapes) {
        for (std::uint32_t seed = 1; seed <= 40; seed++) {
            SCOPED_TRACE(std::string(named.name) + ", seed " + std::to_string(seed));
            Checked checked(named.shape, seed);
            checked.run(120 * kMs, 200);
            if (HasFailure()) {
                return;
            }
        }
    }
}

/// A monitor over a polled link, looked at once a tick.
struct Judged {
    Monitor monitor{Limits{}};
    std::vector<Alert> alerts;

    void run(Play& play, PolledSocket& socket, std::uint64_t& now_ns, std::uint64_t end_ns,
             std::uint64_t shortest_ns, std::uint64_t longest_ns)
    {
        while (now_ns < end_ns) {
            now_ns += play.uniform(shortest_ns, longest_ns);
            socket.update(play.answer(now_ns), kWarnAfter, now_ns);
            if (socket.state().recv_queue > 0 && socket.state().info) {
                socket.update(play.answer(now_ns), kWarnAfter, now_ns);
            }
            auto found = monitor.observe(socket.sample());
            std::move(found.begin(), found.end(), std::back_inserter(alerts));
        }
    }
};

TEST(PolledMonitor, AReaderInGoodOrderIsNeverMentioned)
{
    const Named healthy[] = {
        {"quick", {}},
        {"slow link", {Tells::counters, 300 * kMs, 30 * kMs}},
        {"batches", {Tells::counters, 4 * kMs, 300 * kMs}},
        {"one message in the queue all the time", {Tells::counters, 3 * kMs, 3 * kMs}},
        {"no counters", {Tells::times, 20 * kMs, 30 * kMs}},
        {"no counters, batches", {Tells::times, 4 * kMs, 300 * kMs}},
        {"queue alone, batches", {Tells::nothing, 4 * kMs, 200 * kMs}},
    };
    for (const Named& named : healthy) {
        for (std::uint32_t seed = 1; seed <= 10; seed++) {
            SCOPED_TRACE(std::string(named.name) + ", seed " + std::to_string(seed));
            Play play(named.shape, seed);
            std::uint64_t now = kBegin;
            PolledSocket socket(play.answer(now), {}, 1, 0, now);
            Judged judged;
            judged.run(play, socket, now, kBegin + 60 * kSecond, 1 * kMs, 120 * kMs);
            ASSERT_TRUE(judged.alerts.empty()) << judged.alerts.front().reason;
        }
    }
}

TEST(PolledMonitor, AStallIsToldWithinATickOfTheLimit)
{
    constexpr std::uint64_t kTick = 50 * kMs;
    for (const Tells tells : {Tells::counters, Tells::times, Tells::nothing}) {
        for (const std::uint64_t spacing_ns : {5 * kMs, 100 * kMs, 600 * kMs}) {
            for (std::uint32_t seed = 1; seed <= 10; seed++) {
                SCOPED_TRACE("spacing " + std::to_string(spacing_ns) + ", seed " +
                             std::to_string(seed));
                Shape shape{tells, spacing_ns, 3600 * kSecond};  // one read, then none
                Play play(shape, seed);
                std::uint64_t now = kBegin;
                PolledSocket socket(play.answer(now), {}, 1, 0, now);
                Judged judged;
                judged.run(play, socket, now, kBegin + 4 * kSecond, kTick - kMs, kTick);
                ASSERT_EQ(judged.alerts.size(), 2U);
                const std::uint64_t since =
                    std::max(play.now().oldest_ns(), play.now().last_read_ns());
                const Alert& warning = judged.alerts[0];
                EXPECT_EQ(warning.kind, Alert::Kind::not_draining);
                EXPECT_EQ(warning.severity, Severity::warning);
                EXPECT_TRUE(warning.reading.estimated);
                EXPECT_GE(warning.at_ns + kJiffyNs, since + kSecond);
                EXPECT_LE(warning.at_ns, since + kSecond + 2 * kTick + 2 * kJiffyNs);
                EXPECT_EQ(judged.alerts[1].severity, Severity::critical);
            }
        }
    }
}

}  // namespace
}  // namespace drainwatch::polled_simulation_test
