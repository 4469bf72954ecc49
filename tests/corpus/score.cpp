#include "corpus/score.hpp"

#include <algorithm>
#include <cmath>

namespace drainwatch::corpus {
namespace {

/// The defaults of `watch`, with which the corpus runs.
constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kWarnAfterNs = 1000 * kMs;
constexpr std::uint64_t kHorizonNs = 5000 * kMs;

/// A stall that is not told of so long after --warn-after is missed.
constexpr std::uint64_t kToldWithinNs = 100 * kMs;
constexpr std::uint64_t kPolledToldWithinNs = 500 * kMs;
/// What the announced time and the capture's may differ by.
constexpr std::uint64_t kAgreementNs = 2 * kMs;
/// The same, for an estimate: the segment before may have been acknowledged so much later.
constexpr std::uint64_t kDelayedAckNs = 44 * kMs;
/// A warning may come so long after the trouble that it is about: a line takes its time.
constexpr std::uint64_t kLineNs = 20 * kMs;
/// No shorter silence tells anything about a reader: the scheduler makes such.
constexpr std::uint64_t kShortestSilenceNs = 20 * kMs;
/// A warning is over so soon after its reason, or never.
constexpr std::uint64_t kClearedWithinNs = 1000 * kMs;

double ms_between(std::uint64_t from_ns, std::uint64_t to_ns)
{
    return (static_cast<double>(to_ns) - static_cast<double>(from_ns)) / kMs;
}

bool is_trouble(const Said& said)
{
    return said.event == "not_draining" || said.event == "falling_behind";
}

bool ends_episode(const Said& said)
{
    return said.event == "recovered" || said.event == "link_reset" || said.event == "link_ended";
}

bool stops_reading(const Plan& plan)
{
    return plan.trouble != Trouble::none && plan.trouble != Trouble::pauses &&
           plan.trouble != Trouble::too_slow && plan.trouble != Trouble::starvation;
}

/// One trouble of one link as drainwatch told it: the lines from the first warning, or zero
/// window, to what ended it.
struct Episode {
    const Said* first_warning = nullptr;
    const Said* zero_window = nullptr;
    const Said* end = nullptr;
    std::vector<const Said*> warnings;
};

std::vector<Episode> episodes_of(const std::vector<Said>& lines)
{
    std::vector<Episode> episodes;
    bool open = false;
    const auto current = [&]() -> Episode& {
        if (!open) {
            episodes.emplace_back();
            open = true;
        }
        return episodes.back();
    };
    for (const Said& said : lines) {
        if (is_trouble(said)) {
            Episode& episode = current();
            episode.warnings.push_back(&said);
            if (episode.first_warning == nullptr) {
                episode.first_warning = &said;
            }
        } else if (said.event == "zero_window") {
            Episode& episode = current();
            if (episode.zero_window == nullptr) {
                episode.zero_window = &said;
            }
        } else if (open && ends_episode(said)) {
            episodes.back().end = &said;
            open = false;
        }
    }
    return episodes;
}

/// The warning of the trouble in which the window closed, if one came before it did.
const Said* warning_of(const std::vector<Said>& lines, std::uint64_t zero_ns)
{
    const Said* warning = nullptr;
    for (const Said& said : lines) {
        if (said.read_ns >= zero_ns) {
            break;
        }
        if (is_trouble(said)) {
            warning = warning != nullptr ? warning : &said;
        } else if (ends_episode(said)) {
            warning = nullptr;
        }
    }
    return warning;
}

/// Since when the reader owes a read, in a run whose trouble stops it.
std::optional<std::uint64_t> owed_since(const Link& link)
{
    if (!link.witness.first_unread_ns) {
        return std::nullopt;
    }
    return std::max(*link.witness.first_unread_ns, link.last_read_ns);
}

/// From when on a warning was possible.
std::optional<std::uint64_t> possible_since(const Plan& plan, const Observation& run,
                                            const Link& link)
{
    if (stops_reading(plan)) {
        const auto owed = owed_since(link);
        return owed ? std::optional(std::max(*owed, run.watched_ns)) : std::nullopt;
    }
    return run.trouble.begin_ns != 0 ? std::optional(run.trouble.begin_ns) : std::nullopt;
}

std::optional<std::uint64_t> first_zero(const Link& link)
{
    const auto& zeros = link.witness.zeros_ns;
    return zeros.empty() ? std::nullopt : std::optional(zeros.front());
}

/// Had an episode ended between these?
bool ended_between(const Link& link, std::uint64_t from_ns, std::uint64_t to_ns)
{
    return std::any_of(link.said.begin(), link.said.end(), [&](const Said& said) {
        return ends_episode(said) && said.read_ns > from_ns && said.read_ns < to_ns;
    });
}

/// Which zero windows a warning had to precede: those of the trouble, or of the whole run where
/// there is none; the first of each episode.
void judge_zeros(const Plan& plan, const Observation& run, const Link& link, Verdict& verdict)
{
    const auto& zeros = link.witness.zeros_ns;
    std::uint64_t before_ns = 0;
    for (std::size_t i = 0; i < zeros.size(); i++) {
        const std::uint64_t zero = zeros[i];
        const bool injected = run.trouble.begin_ns != 0;
        // A window that was closed before anybody watched could not be warned of.
        if (zero < run.watched_ns ||
            (injected && (zero < run.trouble.begin_ns || zero > run.trouble.end_ns)) ||
            (before_ns != 0 && !ended_between(link, before_ns, zero))) {
            continue;
        }
        before_ns = zero;
        if (plan.group == Group::healthy &&
            zero < link.witness.widened_ns[i] + kShortestSilenceNs) {
            verdict.sudden++;
            continue;
        }
        verdict.zeros++;
        verdict.warned += warning_of(link.said, zero) != nullptr ? 1 : 0;
    }
}

void judge_lead(const Plan& plan, const Observation& run, const Link& link, Verdict& verdict)
{
    const auto zero = first_zero(link);
    const auto since = possible_since(plan, run, link);
    if (!zero || *zero < run.watched_ns || !since || *since >= *zero) {
        return;
    }
    // Who reads is warned of by forecast alone, and a forecast reaches as far as --horizon.
    const std::uint64_t whole = *zero - *since;
    const std::uint64_t possible = stops_reading(plan) ? whole : std::min(whole, kHorizonNs);
    const Said* warning = warning_of(link.said, *zero);
    verdict.possible_ms = static_cast<double>(possible) / kMs;
    const double lead = warning != nullptr ? ms_between(warning->read_ns, *zero) : 0;
    verdict.lead_ms = std::min(lead, *verdict.possible_ms);
}

/// A reader that gets no CPU is silent for as long as it gets none, by its own log: until it asked,
/// at least.
void judge_starved(const Observation& run, const Link& link, Verdict& verdict)
{
    for (const Gap& gap : link.gaps) {
        const std::uint64_t latest = gap.begin_ns + kWarnAfterNs + kToldWithinNs;
        if (gap.begin_ns >= run.trouble.begin_ns && gap.asked_ns > latest &&
            latest < run.trouble.end_ns) {
            verdict.stalled = true;
            verdict.stall_told = warning_of(link.said, latest) != nullptr;
            return;
        }
    }
}

void judge_stall(const Plan& plan, const Observation& run, const Link& link, Verdict& verdict)
{
    if (plan.trouble == Trouble::starvation) {
        judge_starved(run, link, verdict);
        return;
    }
    // What was there before the watch began is as old as that, for all that can be known.
    const auto since = possible_since(plan, run, link);
    if (!stops_reading(plan) || !since) {
        return;
    }
    const std::uint64_t allowed = plan.polled ? kPolledToldWithinNs : kToldWithinNs;
    const std::uint64_t evidence = *since + kWarnAfterNs;
    const std::uint64_t latest = evidence + allowed;
    if (run.trouble.end_ns < latest) {
        return;
    }
    verdict.stalled = true;
    const auto warning = std::find_if(link.said.begin(), link.said.end(), [&](const Said& said) {
        return is_trouble(said) && said.read_ns >= *since;
    });
    if (warning == link.said.end()) {
        return;
    }
    verdict.stall_told = warning->read_ns <= latest;
    // One that came before was a forecast's.
    if (warning->read_ns >= evidence) {
        verdict.delay_ms.push_back(ms_between(evidence, warning->read_ns));
    }
}

bool lies_in(std::uint64_t at_ns, const Interval& interval)
{
    return interval.begin_ns != 0 && at_ns >= interval.begin_ns &&
           at_ns <= interval.end_ns + kLineNs;
}

/// The silence in which the warning came, by the reader's own log; null if it was none that was
/// long, or longer than those before it.
const Gap* silence_at(const Link& link, std::uint64_t at_ns)
{
    const auto found = std::find_if(link.gaps.begin(), link.gaps.end(), [&](const Gap& gap) {
        return gap.end_ns - gap.begin_ns >= kShortestSilenceNs &&
               lies_in(at_ns, {gap.begin_ns, gap.end_ns});
    });
    return found != link.gaps.end() ? &*found : nullptr;
}

/// One of these times is what the warning was of: it is in its episode, or within the horizon.
bool came(const std::vector<std::uint64_t>& times_ns, const Episode& episode)
{
    const std::uint64_t at_ns = episode.first_warning->read_ns;
    const std::uint64_t end_ns = episode.end != nullptr ? episode.end->read_ns : ~0ULL;
    return std::any_of(times_ns.begin(), times_ns.end(), [&](std::uint64_t t) {
        return t >= at_ns && (t < end_ns || t < at_ns + kHorizonNs);
    });
}

bool zero_came(const Link& link, const Episode& episode)
{
    return episode.zero_window != nullptr || came(link.witness.zeros_ns, episode);
}

/// The reader reads again since then, or there was never a reason.
void judge_end(const Observation& run, const Episode& episode, std::uint64_t since_ns,
               Verdict& verdict)
{
    const bool lasts = episode.end == nullptr && run.ended_ns >= since_ns + kClearedWithinNs;
    verdict.never_cleared += lasts ? 1 : 0;
}

void judge_pause(const Observation& run, const Episode& episode, const Gap& pause, Verdict& verdict)
{
    verdict.new_pauses++;
    judge_end(run, episode, pause.end_ns, verdict);
    if (episode.end != nullptr) {
        verdict.cleared_ms.push_back(ms_between(pause.end_ns, episode.end->read_ns));
    }
}

void judge_alarms(const Observation& run, const Link& link, Verdict& verdict)
{
    for (const Episode& episode : episodes_of(link.said)) {
        if (episode.first_warning == nullptr || zero_came(link, episode)) {
            continue;
        }
        const Gap* silence = silence_at(link, episode.first_warning->read_ns);
        if (silence == nullptr && came(link.witness.holds_ns, episode)) {
            verdict.held_back++;
        } else if (silence == nullptr) {
            verdict.false_alarms++;
        } else if (silence->end_ns - silence->begin_ns <= kWarnAfterNs) {
            judge_pause(run, episode, *silence, verdict);
        }
    }
}

/// After the trouble, the readers go on, but for these.
bool goes_on(const Plan& plan)
{
    return plan.trouble != Trouble::none && plan.trouble != Trouble::pauses &&
           plan.trouble != Trouble::never_accepted && plan.trouble != Trouble::unread_hello &&
           !plan.reset;
}

void judge_recovery(const Plan& plan, const Observation& run, const Link& link, Verdict& verdict)
{
    if (!goes_on(plan)) {
        return;
    }
    for (const Episode& episode : episodes_of(link.said)) {
        if (episode.first_warning != nullptr) {
            judge_end(run, episode, run.trouble.end_ns, verdict);
        }
    }
}

/// `incident` stands for lines that are judged themselves; `lost` is true whatever sockets do.
bool is_alarm(const Said& said)
{
    return said.severity != "info" && said.event != "incident" && said.event != "lost";
}

/// Where all is well, nothing but these is to be judged, and nothing else is to be said.
void judge_other_lines(const Plan& plan, const Link& link, Verdict& verdict)
{
    if (plan.group != Group::healthy) {
        return;
    }
    for (const Said& said : link.said) {
        const bool is_judged = is_trouble(said) || said.event == "zero_window";
        verdict.false_alarms += is_alarm(said) && !is_judged ? 1 : 0;
    }
}

std::uint32_t count_stray_alarms(const Plan& plan, const Observation& run)
{
    return static_cast<std::uint32_t>(
        std::count_if(run.strays.begin(), run.strays.end(), [&](const Said& said) {
            return plan.group == Group::healthy ? is_alarm(said)
                                                : is_trouble(said) || said.event == "zero_window";
        }));
}

/// The zero window that was told is in the capture. A host may have taken a CPU away between hook
/// and tcpdump's stamp.
bool is_captured(const Said& told, const Observation& run, const Link& link)
{
    const std::uint64_t announced = told.announced_ns.value_or(0);
    const auto& zeros = link.witness.zeros_ns;
    return std::any_of(zeros.begin(), zeros.end(), [&](std::uint64_t zero) {
        const auto [first, last] = std::minmax(announced, zero);
        return last - first <= (told.estimated
                                    ? kDelayedAckNs
                                    : kAgreementNs + stalled_ns(run.stalls, first, last));
    });
}

void judge_zero_lines(const Plan& plan, const Observation& run, const Link& link, Verdict& verdict)
{
    const auto zero = first_zero(link);
    const auto line = std::find_if(link.said.begin(), link.said.end(),
                                   [](const Said& said) { return said.event == "zero_window"; });
    const bool told = line != link.said.end();
    if (zero && *zero < run.watched_ns) {
        return;  // whether it was closed still as the watch began is another question
    }
    if (plan.polled) {
        // A poll sees no window that closes and opens between two looks, and tells of the look.
        verdict.agrees = !told || (zero && line->read_ns >= *zero);
        return;
    }
    verdict.agrees = told == zero.has_value();
    for (const Said& said : link.said) {
        if (said.event == "zero_window") {
            verdict.agrees = verdict.agrees && is_captured(said, run, link);
            verdict.estimated = verdict.estimated || said.estimated;
        }
    }
    if (told && zero) {
        verdict.delay_ms.push_back(ms_between(*zero, line->read_ns));
    }
}

void judge_reset(const Plan& plan, const Link& link, Verdict& verdict)
{
    const auto line = std::find_if(link.said.begin(), link.said.end(),
                                   [](const Said& said) { return said.event == "link_reset"; });
    if (plan.polled || !link.witness.reset_ns || !link.witness.first_unread_ns) {
        return;
    }
    verdict.reset = plan.reset;
    verdict.reset_told = plan.reset && line != link.said.end();
    if (line != link.said.end()) {
        verdict.delay_ms.push_back(ms_between(*link.witness.reset_ns, line->read_ns));
    }
}

/// A flow that goes on as it is, to a buffer that nobody reads.
bool fills_steadily(const Plan& plan)
{
    return stops_reading(plan) && plan.trouble != Trouble::unread_hello && plan.burst == 1;
}

void judge_forecast(const Plan& plan, const Link& link, Verdict& verdict)
{
    const auto zero = first_zero(link);
    const Said* warning = zero ? warning_of(link.said, *zero) : nullptr;
    if (!fills_steadily(plan) || warning == nullptr) {
        return;
    }
    const std::uint64_t half = warning->read_ns + (*zero - warning->read_ns) / 2;
    const auto distance = [&](const Said& said) {
        return said.written_ns > half ? said.written_ns - half : half - said.written_ns;
    };
    const Said* nearest = nullptr;
    for (const Said& said : link.said) {
        if (said.zero_in_ms && said.written_ns < *zero &&
            (nearest == nullptr || distance(said) < distance(*nearest))) {
            nearest = &said;
        }
    }
    if (nearest == nullptr) {
        return;
    }
    const double truth = ms_between(nearest->written_ns, *zero);
    verdict.forecast_error = std::abs(static_cast<double>(*nearest->zero_in_ms) - truth) / truth;
}

}  // namespace

Judgement judge(const Plan& plan, const Observation& observation)
{
    Judgement judgement;
    judgement.stray_alarms = count_stray_alarms(plan, observation);
    for (const Link& link : observation.links) {
        Verdict verdict;
        judge_zeros(plan, observation, link, verdict);
        judge_lead(plan, observation, link, verdict);
        judge_stall(plan, observation, link, verdict);
        judge_alarms(observation, link, verdict);
        judge_recovery(plan, observation, link, verdict);
        judge_other_lines(plan, link, verdict);
        judge_zero_lines(plan, observation, link, verdict);
        judge_reset(plan, link, verdict);
        judge_forecast(plan, link, verdict);
        judgement.links.push_back(std::move(verdict));
    }
    return judgement;
}

}  // namespace drainwatch::corpus
