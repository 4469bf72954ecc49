#pragma once

#include "corpus/observation.hpp"
#include "corpus/plan.hpp"

#include <optional>
#include <string>
#include <vector>

/// What a run says about drainwatch. Pure.
namespace drainwatch::corpus {

/// Of one link in one run. Times in milliseconds.
struct Verdict {
    bool zero = false;        ///< tcpdump saw a zero window
    bool warned = false;      ///< and a warning had been read before it
    bool stalled = false;     ///< unread data aged beyond --warn-after
    bool stall_told = false;  ///< and a warning had been read soon after that, at the latest
    std::uint32_t false_alarms = 0;
    std::uint32_t held_back = 0;  ///< warnings of a window that never was zero, but too small for
                                  ///< the peer's next segment: it had to wait
    std::vector<double> cleared_ms;     ///< each warning for a pause longer than any before it: how
                                        ///< soon after the pause it was over
    std::optional<double> possible_ms;  ///< from the begin of the trouble to the zero window
    std::optional<double> lead_ms;      ///< from the warning to the zero window
    std::vector<double> delay_ms;       ///< from evidence to line
    std::optional<double> forecast_error;  ///< at half of the remaining time, as a share of it
    bool agrees = true;      ///< zero windows told are those of the capture, with their times
    bool estimated = false;  ///< the time of one of them is an estimate, and said to be
};

[[nodiscard]] std::vector<Verdict> judge(const Plan& plan, const Observation& observation);

}  // namespace drainwatch::corpus
