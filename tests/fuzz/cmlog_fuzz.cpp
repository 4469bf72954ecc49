// What may stand in a file that is taken for a Communication Manager's log: no line may crash its
// reader, and what it reads stands in the line.
#include "cmlog/line.hpp"

#include <cstdint>
#include <cstdlib>
#include <string_view>

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer calls it so
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace drainwatch::cmlog;
    static const TimeZone kZone = *TimeZone::named("Europe/Berlin");
    const std::string_view line(reinterpret_cast<const char*>(data), size);
    const auto entry = parse(line);
    if (!entry) {
        return 0;
    }
    (void)kZone.to_realtime(entry->time, 0);
    const bool found = line.find(entry->process.comm) != std::string_view::npos &&
                       (!entry->error || (line.find(entry->error->tag) != std::string_view::npos &&
                                          !to_string(entry->error->da1).empty() &&
                                          !to_string(entry->error->da2).empty()));
    if (!found) {
        std::abort();
    }
    return 0;
}
