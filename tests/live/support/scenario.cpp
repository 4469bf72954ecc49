#include "support/scenario.hpp"

#include <fmt/format.h>
#include <unistd.h>

namespace drainwatch::live {

using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t kNsPerMs = 1'000'000;
constexpr std::uint64_t kLeadThatCounts = 200 * kNsPerMs;
constexpr std::uint64_t kAnnouncedWithin = 2 * kNsPerMs;
/// TCP_DELACK_MIN, and a jiffy.
constexpr std::uint64_t kAcknowledgedWithin = 44 * kNsPerMs;

}  // namespace

std::string unique_comm()
{
    static int number = 0;
    return fmt::format("gip{}-{}", getpid(), ++number);
}

Predicate about(const Sender& sender, const Predicate& what)
{
    const std::string port = fmt::format(":{}", sender.port());
    return [port, what](const Line& line) {
        if (!line.json.contains("socket")) {
            return false;
        }
        const std::string remote = line.json["socket"]["remote"];
        return remote.ends_with(port) && (!what || what(line));
    };
}

bool on_emulated_machine()
{
    return secure_getenv("DRAINWATCH_EMULATED") != nullptr;
}

bool polls()
{
    return watch_options_of_the_run().find("--tier poll") != std::string::npos;
}

void Scenario::SetUp()
{
    if (geteuid() != 0) {
        GTEST_SKIP() << "live tests need root";
    }
    comm_ = unique_comm();
}

void Scenario::TearDown()
{
    if (HasFailure() && watcher_) {
        fmt::print(stderr, "drainwatch said:\n{}", watcher_->transcript());
    }
    if (target_) {
        target_->control().quit = true;
    }
    senders_.clear();
}

void Scenario::make_target(const Listen& listen, const Target::Body& body)
{
    target_ = std::make_unique<Target>(comm_, listen, body);
}

void Scenario::watch(std::vector<std::string> more)
{
    std::vector<std::string> arguments{"--process", comm_,          "--duration",
                                       duration_,   "--cpu-budget", cpu_budget_};
    arguments.insert(arguments.end(), watch_options_.begin(), watch_options_.end());
    arguments.insert(arguments.end(), more.begin(), more.end());
    watcher_ = std::make_unique<Watcher>(arguments, watch_wrapper_);
}

void Scenario::watch_all(std::vector<std::string> more)
{
    std::vector<std::string> arguments{"--all", "--duration", duration_};
    arguments.insert(arguments.end(), watch_options_.begin(), watch_options_.end());
    arguments.insert(arguments.end(), more.begin(), more.end());
    watcher_ = std::make_unique<Watcher>(arguments, watch_wrapper_);
}

void Scenario::capture(const std::string& netns)
{
    capture_ = std::make_unique<Capture>(target_->port(), netns);
    if (!on_emulated_machine()) {
        gauge_ = std::make_unique<StallGauge>();
    }
}

Sender& Scenario::connect(const Flow& flow)
{
    senders_.push_back(std::make_unique<Sender>(target_->port(), flow));
    return *senders_.back();
}

void Scenario::play(const Listen& listen, const Flow& flow,
                    std::function<void(int, Control&)> reader)
{
    make_target(listen, Target::one_connection(std::move(reader)));
    capture(listen.netns);
    watch();
    connect(flow).start();
    ASSERT_TRUE(wait_until([&] { return control().accepted > 0; }, 5s));
}

void Scenario::wait_for_zero(std::chrono::milliseconds limit)
{
    ASSERT_TRUE(watcher_->wait_for(about(sender(), event_is("zero_window")), limit))
        << "no zero window";
    read_at_zero_ = control().bytes_read;
}

int Scenario::finish()
{
    if (capture_) {
        capture_->stop();
    }
    exit_code_ = watcher_->stop();
    return exit_code_;
}

void Scenario::expect_warned_before_zero(const Sender& sender)
{
    finish();
    const auto zero = capture_->first_zero_ns(sender.port());
    ASSERT_TRUE(zero) << "tcpdump saw no zero window";
    const auto begin = capture_->byte_sent_ns(sender.port(), read_at_zero_);
    ASSERT_TRUE(begin) << "tcpdump did not see the first unread byte";
    const auto warnings = watcher_->lines(about(sender, is_trouble));
    ASSERT_FALSE(warnings.empty()) << "no warning at all";
    EXPECT_LT(warnings.front().read_ns, *zero) << "warned after the zero window";

    // A poll may tell of a window that closes again and again later than of its first time.
    const std::uint64_t possible = *zero > *begin ? *zero - *begin : 0;
    const double lead = static_cast<double>(*zero) - static_cast<double>(warnings.front().read_ns);
    const double share = lead / static_cast<double>(possible);
    RecordProperty("lead_share", fmt::format("{:.3f}", share));
    fmt::print("lead: {:.0f} of {} ms ({:.0f} %)\n", lead / kNsPerMs, possible / kNsPerMs,
               share * 100);
    if (possible >= kLeadThatCounts) {
        EXPECT_GE(share, 0.75);
    }

    const auto zeros = watcher_->lines(about(sender, event_is("zero_window")));
    ASSERT_FALSE(zeros.empty()) << "the zero window was not reported";
    expect_announced(sender, zeros.front());
    EXPECT_EQ(exit_code_, 2);
}

void Scenario::expect_announced(const Sender& sender, const Line& line)
{
    const auto zero = capture_->first_zero_ns(sender.port());
    ASSERT_TRUE(zero) << "tcpdump saw no zero window";
    const std::uint64_t announced = parse_time(line.json.at("announced_at"));
    if (polls()) {
        EXPECT_TRUE(capture_->closed_at(sender.port(), announced));
        return;
    }
    const std::uint64_t off = announced > *zero ? announced - *zero : *zero - announced;
    if (line.json.contains("estimated")) {
        // It is the stamp of the segment that was acknowledged.
        EXPECT_LE(off, kAcknowledgedWithin);
        return;
    }
    // tcpdump has its stamp of a segment after the hook: a host may have taken the CPU in between.
    const std::uint64_t stalled = gauge_ ? stalled_ns(gauge_->stalls(), announced, *zero) : 0;
    EXPECT_LE(off, kAnnouncedWithin + stalled);
}

void Scenario::expect_silence()
{
    finish();
    for (const auto& sender : senders_) {
        EXPECT_FALSE(capture_->first_zero_ns(sender->port()))
            << "the scene is not what it should be";
    }
    EXPECT_TRUE(
        watcher_->lines([](const Line& l) { return l.json["severity"] != "info"; }).empty());
    EXPECT_EQ(exit_code_, 0);
}

}  // namespace drainwatch::live
