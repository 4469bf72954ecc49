#include "output/time.hpp"

#include "drainwatch/units.hpp"

#include <fmt/format.h>
#include <ctime>

namespace drainwatch {

std::string rfc3339(std::uint64_t realtime_ns)
{
    const auto seconds = static_cast<std::time_t>(realtime_ns / kNsPerS);
    std::tm t{};
    gmtime_r(&seconds, &t);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", t.tm_year + 1900, t.tm_mon + 1,
                       t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec, realtime_ns % kNsPerS / 1000);
}

}  // namespace drainwatch
