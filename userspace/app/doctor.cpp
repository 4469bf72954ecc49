#include "app/checks.hpp"
#include "app/commands.hpp"
#include "app/line_queue.hpp"
#include "bpf/programs.hpp"
#include "host/clock.hpp"
#include "output/event.hpp"

#include <fmt/format.h>
#include <unistd.h>

namespace drainwatch {
namespace {

using namespace std::chrono_literals;

/// Watching works, but not as well as it could.
constexpr int kExitLowerTier = 1;

std::string_view to_string(Outcome outcome)
{
    switch (outcome) {
        case Outcome::ok: return "ok";
        case Outcome::note: return "note";
        case Outcome::bad: return "bad";
    }
    return "";
}

Event to_event(const Diagnosis& diagnosis)
{
    Event event;
    event.name = "doctor";
    event.fields["tier"] = diagnosis.tier ? Json(to_string(*diagnosis.tier)) : Json(nullptr);
    event.fields["blind_spots"] = diagnosis.blind_spots;
    event.fields["checks"] = Json::array();
    for (const Check& check : diagnosis.checks) {
        event.fields["checks"].push_back({{"check", check.name},
                                          {"outcome", to_string(check.outcome)},
                                          {"found", check.found},
                                          {"advice", check.advice}});
    }
    return event;
}

void print_table(const Diagnosis& diagnosis, LineQueue& lines)
{
    for (const Check& check : diagnosis.checks) {
        lines.push(fmt::format("{:<4} {:<28} {}{}{}", to_string(check.outcome), check.name,
                               check.found, check.advice.empty() ? "" : ": ", check.advice));
    }
    if (!diagnosis.tier) {
        lines.push("watch would not run here");
        return;
    }
    lines.push(fmt::format("watch would run in tier {}", to_string(*diagnosis.tier)));
    if (!diagnosis.blind_spots.empty()) {
        lines.push("what it would not see: " + diagnosis.blind_spots);
    }
}

}  // namespace

Result<int> run_doctor(const DoctorOptions& options)
{
    set_libbpf_verbosity(options.verbose);
    const Diagnosis diagnosis = diagnose(options.targets);
    LineQueue lines(STDOUT_FILENO);
    if (options.output == OutputFormat::json) {
        lines.push(render(to_event(diagnosis), options.output, realtime_ns()));
    } else {
        print_table(diagnosis, lines);
    }
    if (auto written = lines.finish(10s); !written) {
        return tl::unexpected(written.error());
    }
    if (!diagnosis.tier) {
        return kExitCannot;
    }
    return diagnosis.tier == Tier::bpf ? 0 : kExitLowerTier;
}

}  // namespace drainwatch
