#pragma once

#include "support/capture.hpp"
#include "support/sender.hpp"
#include "support/stall_gauge.hpp"
#include "support/target.hpp"
#include "support/watcher.hpp"

#include <gtest/gtest.h>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace drainwatch::live {

/// The tests run in the poll tier.
[[nodiscard]] bool polls();

/// Time is made of instructions here, leaps while there is nothing to do, and no host takes any.
[[nodiscard]] bool on_emulated_machine();

/// A name for the test's target that no other process has.
[[nodiscard]] std::string unique_comm();

/// The line is about the connection of this sender.
[[nodiscard]] Predicate about(const Sender& sender, const Predicate& what = nullptr);

/// A target, a sender, drainwatch watching, tcpdump as witness: the usual stage.
class Scenario : public ::testing::Test {
protected:
    void SetUp() override;
    void TearDown() override;

    /// One connection that is read as `reader` says; begins to send.
    void play(const Listen& listen, const Flow& flow, std::function<void(int, Control&)> reader);
    /// The parts of play(), for scenes that differ.
    void make_target(const Listen& listen, const Target::Body& body);
    void watch(std::vector<std::string> more = {});
    /// The same, of every process.
    void watch_all(std::vector<std::string> more);
    void capture(const std::string& netns = "");
    Sender& connect(const Flow& flow);

    [[nodiscard]] Target& target() { return *target_; }
    [[nodiscard]] Control& control() { return target_->control(); }
    [[nodiscard]] Watcher& watcher() { return *watcher_; }
    /// What tcpdump saw; to be asked after finish().
    [[nodiscard]] const Capture& witness() const { return *capture_; }
    [[nodiscard]] Sender& sender() { return *senders_.front(); }
    [[nodiscard]] const std::vector<std::unique_ptr<Sender>>& senders() const { return senders_; }
    [[nodiscard]] const std::string& comm() const { return comm_; }

    /// Further options of every watch(), and a command that runs it.
    std::vector<std::string> watch_options_;
    std::vector<std::string> watch_wrapper_;
    std::string duration_ = "100s";
    /// Verdicts are not to depend on how fast the machine is.
    std::string cpu_budget_ = "0";

    /// Waits for the zero window's line; remembers how far the reader had come.
    void wait_for_zero(std::chrono::milliseconds limit);

    /// Ends capture and watching, then holds the output against the capture: a warning was read
    /// before the zero window, with three quarters of the possible lead where that is 200 ms or
    /// more, and announced_at is right to 2 ms.
    void expect_warned_before_zero(const Sender& sender);
    void expect_warned_before_zero() { expect_warned_before_zero(sender()); }

    /// The zero window's time is that of the first one in the capture; a poll's, that of a look
    /// at which the capture has the window closed.
    void expect_announced(const Sender& sender, const Line& line);

    /// Nothing was raised, nothing was captured.
    void expect_silence();

    /// Stops drainwatch; returns its exit code.
    int finish();

private:
    std::string comm_;
    std::unique_ptr<Target> target_;
    std::vector<std::unique_ptr<Sender>> senders_;
    std::unique_ptr<Capture> capture_;
    std::unique_ptr<StallGauge> gauge_;  ///< beside a capture; none where no host takes CPUs away
    std::unique_ptr<Watcher> watcher_;
    std::uint64_t read_at_zero_ = 0;
    int exit_code_ = -1;
};

}  // namespace drainwatch::live
