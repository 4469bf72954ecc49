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
    std::uint32_t zeros = 0;   ///< zero windows that tcpdump saw: the first of each episode
    std::uint32_t warned = 0;  ///< of them, those before which a warning had been read
    std::uint32_t sudden =
        0;                 ///< others, of healthy readers, that came sooner than anybody can tell
    bool stalled = false;  ///< unread data aged beyond --warn-after
    bool stall_told = false;  ///< and a warning had been read soon after that, at the latest
    bool reset = false;       ///< its process was killed with unread data
    bool reset_told = false;
    std::uint32_t false_alarms = 0;
    std::uint32_t held_back = 0;   ///< warnings of a window that never was zero, but too small for
                                   ///< the peer's next segment: it had to wait
    std::uint32_t new_pauses = 0;  ///< warnings for a pause longer than any before it
    std::vector<double> cleared_ms;     ///< how soon after such a pause its warning was over
    std::uint32_t never_cleared = 0;    ///< warnings that outlast their reason by a second, or more
    std::optional<double> possible_ms;  ///< from the begin of the trouble to the zero window
    std::optional<double> lead_ms;      ///< from the warning to the zero window
    std::vector<double> delay_ms;       ///< from evidence to line
    std::optional<double> forecast_error;  ///< at half of the remaining time, as a share of it
    bool agrees = true;      ///< zero windows told are those of the capture, with their times
    bool estimated = false;  ///< the time of one of them is an estimate, and said to be
};

struct Judgement {
    std::vector<Verdict> links;
    std::uint32_t stray_alarms = 0;  ///< false ones about none of them
};

[[nodiscard]] Judgement judge(const Plan& plan, const Observation& observation);

}  // namespace drainwatch::corpus
