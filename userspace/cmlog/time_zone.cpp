#include "cmlog/time_zone.hpp"

#include "output/escape.hpp"

#include <absl/time/civil_time.h>
#include <fmt/format.h>

namespace drainwatch::cmlog {
namespace {

std::uint64_t distance(absl::Time a, absl::Time b)
{
    return static_cast<std::uint64_t>(absl::ToInt64Nanoseconds(absl::AbsDuration(a - b)));
}

bool is_date(const LocalTime& t, const absl::CivilDay& day)
{
    return day.year() == t.year && day.month() == t.month && day.day() == t.day;
}

bool is_time_of_day(const LocalTime& t)
{
    return t.hour >= 0 && t.hour < 24 && t.minute >= 0 && t.minute < 60 && t.second >= 0 &&
           t.second <= 60 && t.millisecond >= 0 && t.millisecond < 1000;
}

}  // namespace

TimeZone TimeZone::local()
{
    return TimeZone(absl::LocalTimeZone());
}

Result<TimeZone> TimeZone::named(const std::string& name)
{
    absl::TimeZone zone;
    if (!absl::LoadTimeZone(name, &zone)) {
        return fail(fmt::format("there is no time zone \"{}\": write a name such as Europe/Berlin",
                                escape(name)));
    }
    return TimeZone(zone);
}

std::optional<std::uint64_t> TimeZone::to_realtime(const LocalTime& time,
                                                   std::uint64_t now_ns) const
{
    const absl::CivilDay day(time.year, time.month, time.day);
    if (!is_date(time, day) || !is_time_of_day(time)) {
        return std::nullopt;
    }
    const absl::CivilSecond second =
        absl::CivilSecond(day) + ((time.hour * 60 + time.minute) * 60 + time.second);
    const auto at = zone_.At(second);
    absl::Time chosen = at.pre;
    if (at.kind == absl::TimeZone::TimeInfo::REPEATED) {
        const absl::Time now = absl::FromUnixNanos(static_cast<std::int64_t>(now_ns));
        chosen = distance(at.pre, now) <= distance(at.post, now) ? at.pre : at.post;
    }
    const std::int64_t ns = absl::ToUnixNanos(chosen + absl::Milliseconds(time.millisecond));
    return ns >= 0 ? std::optional(static_cast<std::uint64_t>(ns)) : std::nullopt;
}

}  // namespace drainwatch::cmlog
