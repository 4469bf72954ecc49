#include "app/session.hpp"

#include "app/privileges.hpp"
#include "app/session_events.hpp"
#include "app/target_pids.hpp"
#include "app/tiers.hpp"
#include "drainwatch/units.hpp"
#include "host/clock.hpp"
#include "host/reused_heap.hpp"
#include "output/alert_event.hpp"
#include "output/cause_json.hpp"
#include "output/escape.hpp"
#include "output/tls_event.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

namespace drainwatch {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t ns(std::chrono::nanoseconds d)
{
    return static_cast<std::uint64_t>(d.count());
}

/// How soon to look again at a socket that may need a verdict before the next tick.
constexpr std::uint64_t kCloseLookNs = ns(5ms);

/// A look for a silence that reaches its limit comes just then, but not closer than this to the
/// last.
constexpr std::uint64_t kClosestLookNs = ns(1ms);

/// While nothing lies unread, and a queue that fills wakes us, looks come four times within
/// --warn-after, at most so far apart.
constexpr std::uint64_t kIdleLookNs = ns(250ms);

/// Each full look comes once a second, or less often where it is expensive: it may take this share
/// of a CPU at most.
constexpr std::uint64_t kFullLookNs = ns(1s);
constexpr std::uint64_t kFullLookShare = 2000;
/// Where no event tells of a new target, it is the only way to find one.
constexpr std::uint64_t kFindingShare = 300;
/// Where a hook is missing that tells of arrivals or reads, the full look that heals stands in for
/// it; and it finds a zero window whose announcement went unseen. Then it comes with each tick, and
/// may take a hundredth, and a quarter of the budget.
constexpr std::uint64_t kHealingShare = 100;
constexpr double kHealingPart = 4;
/// A new target is looked through at once, but a storm of them not one by one: a tenth.
constexpr std::uint64_t kNewTargetSpacingNs = ns(100ms);
constexpr std::uint64_t kNewTargetShare = 10;

Pace pace_of_full_looks(const Source& source)
{
    return {kFullLookNs, source.relies_on_finding() ? kFindingShare : kFullLookShare};
}

std::uint64_t healing_share(const WatchOptions& options)
{
    const auto within_budget = options.cpu_budget > 0
                                   ? static_cast<std::uint64_t>(kHealingPart / options.cpu_budget)
                                   : kHealingShare;
    return std::max(kHealingShare, within_budget);
}

Pace pace_of_healing(const Source& source, const WatchOptions& options)
{
    if (!source.relies_on_healing()) {
        return {kFullLookNs, kFullLookShare};
    }
    return {ns(options.tick), healing_share(options)};
}

bool takes_streams(Source& source)
{
    const Streams* const streams = source.streams();
    return streams != nullptr && streams->are_taken();
}

/// How long a slow reader is waited for at the end.
constexpr auto kLastWords = 1s;

/// Losses are looked for once a second; if they go on, they are told of ever less often.
constexpr std::uint64_t kLossSpacingNs = ns(1s);
constexpr std::uint64_t kMostLossSpacingNs = ns(1min);

/// In text, the line of an incident stands for these of its sockets; what becomes of a link is told
/// of each.
bool is_told_by_incident(const Alert& alert)
{
    return alert.kind == Alert::Kind::not_draining || alert.kind == Alert::Kind::falling_behind ||
           alert.kind == Alert::Kind::recovered;
}

void add_cause(Event& event, const Result<Cause>& cause)
{
    if (!cause) {
        event.fields["cause"]["missing"] = Json::array({"cause: " + cause.error().message});
        return;
    }
    event.reason += "; " + cause->sentence;
    event.fields["cause"] = to_json(*cause);
}

}  // namespace

Result<std::unique_ptr<Session>> Session::open(WatchOptions options, int signals)
{
    const ReusedHeap heap;  // the source loads one object, the session another
    auto source = open_source(options);
    if (!source) {
        return tl::unexpected(source.error());
    }
    return std::unique_ptr<Session>(new Session(std::move(options), std::move(*source), signals));
}

Session::Session(WatchOptions options, std::unique_ptr<FallbackSource> source, int signals)
    : options_(std::move(options)),
      source_(std::move(source)),
      signals_(signals),
      lines_(STDOUT_FILENO),
      owners_(*source_),
      monitor_(options_.limits),
      tls_(options_.tls_min, options_.limits.warn_after),
      links_(options_.cm_logs, options_.log_timezone),
      finding_(pace_of_full_looks(*source_)),
      healing_(pace_of_healing(*source_, options_)),
      budget_(options_.cpu_budget, *source_)
{
    if (options_.cause) {
        causes_.emplace(*source_, options_.targets.ports.empty(), options_.cpu_budget);
    }
}

void Session::print(const Event& event)
{
    worst_ = std::max(worst_, event.severity);
    lines_.push(render(event, options_.output, realtime_ns()));
}

void Session::print(const ProcessNotice& notice)
{
    print(target_event(notice));
}

void Session::print(const std::vector<Alert>& alerts)
{
    for (const Alert& alert : alerts) {
        print(alert);
    }
}

void Session::print(const Alert& alert)
{
    Owner owner = owners_.of(alert.sample);
    const LinkStory::Noted noted = links_.note(alert, owner.process.value_or(Process{}));
    if (options_.output == OutputFormat::text && noted.is_spoken_for &&
        is_told_by_incident(alert)) {
        worst_ = std::max(worst_, alert.severity);
    } else {
        const auto cause =
            causes_ && alert.kind == Alert::Kind::not_draining
                ? std::optional(causes_->find(alert.sample, owner, alert.reading.silent_ns))
                : std::nullopt;
        Event event = to_event(alert, std::move(owner.process), owner.fd, clock_pair());
        if (cause) {
            add_cause(event, *cause);
        }
        print(event);
    }
    if (noted.incident) {
        print(*noted.incident);
    }
}

void Session::print(const std::vector<Event>& events)
{
    for (const Event& event : events) {
        print(event);
    }
}

void Session::print(const tls::Fact& fact)
{
    Owner owner = owners_.of(fact.socket);
    print(to_event(fact, std::move(owner.process), owner.fd, clock_pair()));
}

void Session::print(const std::vector<tls::Fact>& facts)
{
    for (const tls::Fact& fact : facts) {
        print(fact);
    }
}

/// One that the kernel's own TLS has sent or received.
void Session::print_alert(const SocketNotice& notice, Side from)
{
    if (const auto sample = source_->sample(notice.cookie)) {
        print(tls::Fact{*sample, notice.at_ns,
                        tls::Alert{from, static_cast<std::uint8_t>(notice.value >> 8),
                                   static_cast<std::uint8_t>(notice.value)}});
    }
}

Losses Session::all_losses() const
{
    Losses losses = source_->losses();
    losses.handshakes_given_up = tls_.given_up();
    return losses;
}

void Session::print_losses()
{
    const std::uint64_t now_ns = monotonic_ns();
    if (now_ns < losses_due_ns_) {
        return;
    }
    const Losses losses = all_losses();
    if (losses == losses_told_) {
        losses_due_ns_ = now_ns + kLossSpacingNs;
        return;
    }
    const Losses told = std::exchange(losses_told_, losses);
    losses_spacing_ns_ = std::clamp(2 * losses_spacing_ns_, kLossSpacingNs, kMostLossSpacingNs);
    losses_due_ns_ = now_ns + losses_spacing_ns_;
    print(lost_event(*source_, losses, told, lines_.left_out()));
}

void Session::print_summary()
{
    const std::uint64_t now_ns = monotonic_ns();
    links_.stalls_so_far(monitor_.stalls_so_far(now_ns), now_ns);
    Event summary = summary_event(monitor_.totals());
    links_.add_to_summary(summary);
    add_losses(summary, *source_, all_losses(), lines_.left_out());
    summary.fields["tls_versions"] = tls_versions_json(tls_.versions());
    add_cost(summary, *source_, started_ns_);
    print(summary);
}

/// With --verbose, once a tick.
void Session::print_standing()
{
    const std::uint64_t now_ns = monotonic_ns();
    if (!options_.verbose || now_ns < standing_due_ns_) {
        return;
    }
    standing_due_ns_ = now_ns + ns(options_.tick);
    print(monitor_.standing());
}

/// A new connection of a peer may stand for one that is not read.
void Session::note_connection(const SocketSample& fresh, std::uint64_t at_ns)
{
    links_.connected(fresh, at_ns);
    // As of now: it may have been read since the last look.
    const auto old = monitor_.replaced_by(fresh, at_ns);
    if (const auto sample = old ? source_->sample(*old) : std::nullopt) {
        print(monitor_.observe(*sample));
    }
    const auto replaced = monitor_.connected(fresh, at_ns);
    if (!replaced) {
        return;
    }
    print(*replaced);
    if (const auto flapping = links_.replaced(fresh, at_ns)) {
        print(*flapping);
    }
}

void Session::take(const SocketNotice& notice)
{
    using Kind = SocketNotice::Kind;
    const auto sample = source_->sample(notice.cookie);
    const bool was_replaced = monitor_.was_replaced(notice.cookie);
    print(monitor_.notice(notice, sample));
    switch (notice.kind) {
        case Kind::alert_sent: print_alert(notice, Side::local); break;
        case Kind::alert_received: print_alert(notice, Side::peer); break;
        case Kind::reset_received:
        case Kind::reset_sent:
            if (const auto flapping =
                    sample ? links_.reset(*sample, notice.at_ns, was_replaced) : std::nullopt) {
                print(*flapping);
            }
            print(tls_.end(notice.cookie, tls::Result::reset, notice.at_ns));
            break;
        case Kind::broken:
        case Kind::closed: print(tls_.end(notice.cookie, tls::Result::closed, notice.at_ns)); break;
        case Kind::handshake_begun: tls_.begin(notice.cookie); break;
        case Kind::handshake_over:
            print(tls_.complete(notice.cookie, static_cast<int>(notice.value), notice.at_ns));
            break;
        case Kind::connected:
            if (sample) {
                note_connection(*sample, notice.at_ns);
            }
            break;
        case Kind::filling:
        case Kind::zero_window:
        case Kind::reopened:
        case Kind::ended: break;
    }
}

void Session::take(const StreamBytes& bytes)
{
    print(tls_.take(bytes));
}

/// What was taken of streams goes between the notices, in the order in which things happened.
void Session::take_notices()
{
    const auto notices = source_->take_notices();
    const std::uint64_t began_ns = cpu_ns();
    Streams* const source_streams = source_->streams();
    const auto streams =
        source_streams != nullptr ? source_streams->take() : std::vector<StreamBytes>();
    if (!streams.empty()) {
        budget_.spent_on_streams(cpu_ns() - began_ns);
    }
    auto next = streams.begin();
    const auto take_streams_until = [&](std::uint64_t at_ns) {
        if (next == streams.end() || next->at_ns > at_ns) {
            return;
        }
        const std::uint64_t before_ns = cpu_ns();
        for (; next != streams.end() && next->at_ns <= at_ns; ++next) {
            take(*next);
        }
        budget_.spent_on_streams(cpu_ns() - before_ns);
    };
    for (const Notice& notice : notices) {
        if (const auto* process = std::get_if<ProcessNotice>(&notice)) {
            print(*process);
            const bool may_bring_sockets = process->kind == ProcessNotice::Kind::appeared ||
                                           process->kind == ProcessNotice::Kind::renamed;
            if (may_bring_sockets && process->target) {
                finding_.make_due(new_target_due_ns_);
            }
            continue;
        }
        const auto& of_socket = std::get<SocketNotice>(notice);
        take_streams_until(of_socket.at_ns);
        take(of_socket);
    }
    take_streams_until(kNever);
    for (const tls::Settled& settled : tls_.take_settled()) {
        if (source_streams != nullptr) {
            source_streams->settle_handshake(settled.cookie, settled.place, settled.alert_bytes);
        }
    }
}

void Session::look()
{
    const std::uint64_t began_ns = monotonic_ns();
    Look look = source_->look(monitor_.followed(), monitor_.all_told());
    // All are judged before the causes of the first are looked for.
    std::vector<Alert> alerts;
    for (SocketSample& sample : look.samples) {
        sample.unread_is = tls_.unread(sample).value_or("");
        if (const auto stalled = tls_.look(sample)) {
            print(*stalled);
        }
        auto of_sample = monitor_.observe(sample);
        std::move(of_sample.begin(), of_sample.end(), std::back_inserter(alerts));
    }
    for (const Cookie cookie : look.unchanged) {
        monitor_.unchanged(cookie, began_ns);
    }
    print(alerts);
    for (const SocketSample& sample : look.samples) {
        if (causes_) {
            causes_->prepare(sample);
        }
    }
    if (!look.gone.empty()) {
        take_notices();  // a reset tells more of an end than the end does
    }
    const std::uint64_t now_ns = monotonic_ns();
    for (const Cookie cookie : look.gone) {
        print(monitor_.gone(cookie, now_ns));
    }
    if (monitor_.awaits_zero() || source_->is_short_of_room()) {
        healing_.make_due(soonest_healing_ns_);
    }
    plan_look(now_ns + look_spacing_ns(look.samples.empty() && look.unchanged.empty()), now_ns);
    if (const auto threshold_ns = monitor_.next_threshold_ns(began_ns)) {
        plan_look(std::max(*threshold_ns, now_ns + kClosestLookNs), now_ns);
    }
}

/// What wakes us between two looks does not put the second one off.
void Session::plan_look(std::uint64_t at_ns, std::uint64_t now_ns)
{
    look_due_ns_ = look_due_ns_ > now_ns ? std::min(look_due_ns_, at_ns) : at_ns;
}

std::uint64_t Session::look_spacing_ns(bool nothing_unread) const
{
    const std::uint64_t tick_ns = ns(options_.tick) * budget_.look_spacing();
    if (monitor_.wants_close_look()) {
        return std::min(kCloseLookNs * budget_.look_spacing(), tick_ns);
    }
    const bool is_told_of_filling = source_->wake_fd() >= 0 && !source_->relies_on_healing();
    if (nothing_unread && is_told_of_filling && wakes_early()) {
        return std::max(tick_ns, std::min(kIdleLookNs, ns(options_.limits.warn_after) / 4));
    }
    return tick_ns;
}

std::vector<ProcessNotice> Session::find_targets()
{
    std::vector<ProcessNotice> found;
    const std::uint64_t cost_ns = finding_.run([&] { found = source_->find_targets(); });
    new_target_due_ns_ = monotonic_ns() + std::max(kNewTargetSpacingNs, kNewTargetShare * cost_ns);
    return found;
}

Result<void> Session::heal()
{
    Result<void> healed;
    const std::uint64_t cost_ns = healing_.run([&] { healed = source_->heal(); });
    soonest_healing_ns_ =
        monotonic_ns() + std::max(ns(options_.tick), healing_share(options_) * cost_ns);
    return healed;
}

void Session::keep_budget()
{
    const Tier tier_before = source_->tier();
    const bool relied_on_healing = source_->relies_on_healing();
    const bool took_streams = takes_streams(*source_);
    const auto change = budget_.review();
    if (!change) {
        return;
    }
    print(*change);
    healing_.space_like(pace_of_healing(*source_, options_));
    if (source_->relies_on_healing() && !relied_on_healing) {
        healing_.make_due(monotonic_ns() + ns(options_.tick));
    }
    if (takes_streams(*source_) != took_streams) {
        tls_.source_changed();
    }
    if (source_->tier() != tier_before) {
        monitor_.source_changed();
        finding_.space_like(pace_of_full_looks(*source_));
        for (const ProcessNotice& notice : find_targets()) {
            if (!notice.target) {
                print(notice);  // polling may not watch it; the others are known
            }
        }
        (void)heal();  // the source counts those that fail
        budget_.begin();
    }
}

bool Session::wait()
{
    const std::uint64_t now_ns = monotonic_ns();
    const std::uint64_t due_ns = std::min({look_due_ns_, finding_.due_ns(), healing_.due_ns(),
                                           budget_.due_ns(), links_.due_ns(), ends_ns_});
    const std::uint64_t wait_ns = due_ns > now_ns ? due_ns - now_ns : 0;
    const timespec timeout{static_cast<time_t>(wait_ns / 1'000'000'000),
                           static_cast<long>(wait_ns % 1'000'000'000)};
    const auto output_events = static_cast<short>(lines_.pending() ? POLLOUT : 0);
    std::array<pollfd, 3> watched{{{wakes_early() ? source_->wake_fd() : -1, POLLIN, 0},
                                   {signals_, POLLIN, 0},
                                   {lines_.fd(), output_events, 0}}};
    ppoll(watched.data(), watched.size(), &timeout, nullptr);
    lines_.flush();
    const bool told_to_stop = watched[1].revents != 0;
    const bool nobody_reads =
        (watched[2].revents & (POLLERR | POLLHUP | POLLNVAL)) || lines_.broken();
    return !told_to_stop && !nobody_reads && monotonic_ns() < ends_ns_;
}

Result<int> Session::run()
{
    started_ns_ = monotonic_ns();
    ends_ns_ = options_.duration.count() > 0 ? started_ns_ + ns(options_.duration) : kNever;
    const auto first = find_targets();
    capabilities_ = drop_privileges(*source_, {.program_files = options_.cause});
    print(start_event(options_, *source_, capabilities_));
    for (const ProcessNotice& notice : first) {
        print(notice);
    }
    for (const std::string& missing : not_among(first, options_.targets)) {
        fmt::print(stderr, "drainwatch: {} is not running yet; waiting for it\n", missing);
    }
    for (const std::string& sentence : links_.unopened_logs()) {
        fmt::print(stderr, "drainwatch: {}\n", sentence);
    }
    if (on_started) {
        on_started();
    }
    // What came while targets were found; at 100,000 sockets it would double the time to the start.
    if (auto healed = heal(); !healed) {
        return tl::unexpected(healed.error());
    }
    budget_.begin();
    do {
        take_notices();
        look();
        print(links_.due(monotonic_ns()));
        print_standing();
        if (finding_.is_due()) {
            for (const ProcessNotice& notice : find_targets()) {
                print(notice);
            }
        }
        if (healing_.is_due()) {
            (void)heal();  // the same
        }
        print_losses();
        keep_budget();
    } while (wait());
    source_->stop();
    take_notices();
    look();
    print(links_.last(monotonic_ns()));
    lines_.drain(kLastWords);  // the summary needs room, and counts what found none
    print_summary();
    lines_.drain(kLastWords);
    if (auto written = lines_.status(); !written) {
        return tl::unexpected(written.error());
    }
    return static_cast<int>(worst_);
}

}  // namespace drainwatch
