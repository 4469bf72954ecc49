#pragma once

#include "drainwatch/result.hpp"

#include <absl/time/time.h>
#include <cstdint>
#include <optional>
#include <string>

namespace drainwatch::cmlog {

/// A calendar's time as it was written down somewhere, without saying where.
struct LocalTime {
    int year = 0;
    int month = 0;   ///< 1 to 12
    int day = 0;     ///< 1 to 31
    int hour = 0;    ///< 0 to 23
    int minute = 0;  ///< 0 to 59
    int second = 0;  ///< 0 to 60
    int millisecond = 0;
};

/// Turns local times into those of CLOCK_REALTIME.
class TimeZone {
public:
    /// That of this host.
    [[nodiscard]] static TimeZone local();
    /// "Europe/Berlin", as the system's tz database has it.
    [[nodiscard]] static Result<TimeZone> named(const std::string& name);

    /// Nanoseconds since 1970. Of a time that came twice, as clocks were set back, the one that is
    /// nearer to `now_ns`; of one that never came, that before the clocks were set forward. Nothing
    /// for a date that is none, such as the 31st of June, or lies before 1970.
    [[nodiscard]] std::optional<std::uint64_t> to_realtime(const LocalTime& time,
                                                           std::uint64_t now_ns) const;

private:
    explicit TimeZone(absl::TimeZone zone) : zone_(zone) {}

    absl::TimeZone zone_;
};

}  // namespace drainwatch::cmlog
