#include "app/commands.hpp"
#include "app/line_queue.hpp"
#include "app/output_file.hpp"
#include "app/privileges.hpp"
#include "app/stop_signals.hpp"
#include "app/target_pids.hpp"
#include "app/tiers.hpp"
#include "app/version.hpp"
#include "bpf/profiler.hpp"
#include "drainwatch/units.hpp"
#include "host/clock.hpp"
#include "host/kernel.hpp"
#include "host/pace.hpp"
#include "host/symbols.hpp"
#include "host/tls_library.hpp"
#include "output/escape.hpp"
#include "output/source_json.hpp"
#include "profile/folded.hpp"
#include "profile/report.hpp"
#include "profile/units.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <fstream>

namespace drainwatch {
namespace {

using namespace std::chrono_literals;

/// Looks for targets and sockets that no event told of, once a second, or less often where that is
/// expensive: it may take this share of a CPU at most.
constexpr std::uint64_t kLookSpacingNs = kNsPerS;
constexpr std::uint64_t kLookShare = 100;

/// How often it is asked whether idle sockets must make room.
constexpr std::uint64_t kRoomSpacingNs = kNsPerS / 4;

/// How long a slow reader of the output is waited for.
constexpr auto kLastWords = 10s;

/// Larger than any profile with groups for each socket.
constexpr std::size_t kLargestSavedFile = std::size_t{64} << 20;

/// A line on a terminal that is written over again and again.
class Progress {
public:
    explicit Progress(std::chrono::nanoseconds duration)
        : shown_(isatty(STDERR_FILENO) == 1), duration_(duration)
    {}
    ~Progress()
    {
        if (shown_) {
            fmt::print(stderr, "\r\x1b[K");
        }
    }
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    void show(std::uint64_t elapsed_ns, const Profiler& profiler) const
    {
        if (!shown_) {
            return;
        }
        const std::string all =
            duration_.count() > 0
                ? " of " + duration_in_words(static_cast<double>(duration_.count()))
                : "";
        fmt::print(stderr, "\r\x1b[Kmeasuring: {} s{}, {} reads", elapsed_ns / kNsPerS, all,
                   profiler.reads());
    }

private:
    bool shown_;
    std::chrono::nanoseconds duration_;
};

/// Until the time is up or the user wants the end.
void measure(Profiler& profiler, std::chrono::nanoseconds duration, int signals)
{
    const std::uint64_t began_ns = monotonic_ns();
    const std::uint64_t ends_ns =
        duration.count() > 0 ? began_ns + static_cast<std::uint64_t>(duration.count()) : kNever;
    Pace looking(kLookSpacingNs, kLookShare);
    looking.run([] {});  // one was taken just now
    const Progress progress(duration);
    Pace making_room(kRoomSpacingNs, kLookShare);
    for (std::uint64_t now_ns = began_ns; now_ns < ends_ns; now_ns = monotonic_ns()) {
        if (looking.is_due()) {
            looking.run([&] { profiler.find_targets(); });
        }
        if (profiler.is_short_of_room() && making_room.is_due()) {
            making_room.run([&] { profiler.make_room(); });
        }
        progress.show(now_ns - began_ns, profiler);
        const std::uint64_t due_ns = std::min(ends_ns, looking.due_ns());
        now_ns = monotonic_ns();
        const std::uint64_t wait_ns =
            due_ns > now_ns ? std::min(due_ns - now_ns, kRoomSpacingNs) : 0;
        pollfd stop{signals, POLLIN, 0};
        if (poll(&stop, 1, static_cast<int>((wait_ns + kNsPerMs - 1) / kNsPerMs)) > 0) {
            return;
        }
    }
}

Result<Figures> read_saved(const std::string& path)
{
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        return tl::unexpected(
            system_error("read", escape(path), errno, "name a file that --save wrote"));
    }
    std::string text(kLargestSavedFile + 1, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(file.gcount()));
    if (text.size() > kLargestSavedFile) {
        return fail(fmt::format("{} is too large for a profile: name a file that --save wrote",
                                escape(path)));
    }
    auto figures = parse_saved(text);
    if (!figures) {
        return fail(
            fmt::format("{} is not what --save wrote: {}", escape(path), figures.error().message));
    }
    return figures;
}

Result<void> print(const Report& report, const Event& event, OutputFormat format)
{
    LineQueue lines(STDOUT_FILENO, kLargestSavedFile);
    if (format == OutputFormat::json) {
        lines.push(render(event, format, realtime_ns()));
    } else {
        for (std::string& line : to_text(report)) {
            lines.push(std::move(line));
        }
    }
    return lines.finish(kLastWords);
}

std::string folded(const Measurement& measurement)
{
    Symbols symbols;
    return fold_stacks(measurement, {[&](std::uint64_t address) { return symbols.kernel(address); },
                                     [&](std::uint32_t pid, std::uint64_t address) {
                                         return symbols.user(pid, address);
                                     }});
}

}  // namespace

Result<int> run_profile(const ProfileOptions& options)
{
    if (auto named = check_pids(options.targets); !named) {
        return tl::unexpected(named.error());
    }
    std::optional<Figures> before;
    if (!options.compare.empty()) {
        auto saved = read_saved(options.compare);
        if (!saved) {
            return tl::unexpected(saved.error());
        }
        before = std::move(*saved);
    }
    auto libraries = options.tls_library.empty() ? Result<TlsLibraries>()
                                                 : TlsLibraries::only(options.tls_library);
    if (!libraries) {
        return tl::unexpected(libraries.error());
    }
    if (auto allowed = check_bpf_is_allowed(); !allowed) {
        return fail("profile cannot do without BPF: " + allowed.error().message);
    }
    const auto save = OutputFile::open(options.save);
    const auto stacks = OutputFile::open(options.stacks);
    if (!save || !stacks) {
        return tl::unexpected(!save ? save.error() : stacks.error());
    }
    if (save->overwrites(*stacks)) {
        return fail("--save and --stacks name the same file: name another for one of them");
    }
    const auto signals = open_stop_signals();
    if (!signals) {
        return tl::unexpected(signals.error());
    }
    set_libbpf_verbosity(options.verbose);
    const auto profiler =
        Profiler::open({options.targets, options.grouping, !options.stacks.empty(), *libraries});
    if (!profiler) {
        return fail("profile cannot do without BPF: " + profiler.error().message);
    }
    // Files are looked into for TLS libraries, too.
    (void)drop_privileges((*profiler)->source(),
                          {.program_files = true, .kernel_names = !options.stacks.empty()});
    fmt::print(stderr, "drainwatch: measuring {}{}\n", targets_in_words(options.targets),
               options.duration.count() > 0
                   ? fmt::format(" for {}",
                                 duration_in_words(static_cast<double>(options.duration.count())))
                   : "; Ctrl-C ends it");
    measure(**profiler, options.duration, signals->get());
    const Measurement measurement = (*profiler)->finish();

    Report report = make_report(measurement, options.grouping, targets_in_words(options.targets));
    report.missing = (*profiler)->missing();
    report.tls_library = options.tls_library;
    if (before) {
        report.comparison = compare(options.compare, *before, report.figures);
    }
    Event event = to_event(report);
    event.fields["kernel"] = kernel_release();
    event.fields["version"] = version();
    event.fields["targets"] = to_json(options.targets);
    const auto printed = print(report, event, options.output);
    const auto saved = save->write(render(event, OutputFormat::json, realtime_ns()) + "\n");
    const auto stacks_saved =
        options.stacks.empty() ? Result<void>() : stacks->write(folded(measurement));
    for (const auto* written : {&printed, &saved, &stacks_saved}) {
        if (!*written) {
            return tl::unexpected(written->error());
        }
    }
    return 0;
}

}  // namespace drainwatch
