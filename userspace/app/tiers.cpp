#include "app/tiers.hpp"

#include "bpf/bpf_source.hpp"
#include "host/capabilities.hpp"
#include "host/proc.hpp"
#include "poll/poll_source.hpp"

#include <fmt/format.h>

namespace drainwatch {
namespace {

Result<std::unique_ptr<Source>> open_bpf(const SourceOptions& options)
{
    if (auto allowed = check_bpf_is_allowed(); !allowed) {
        return tl::unexpected(allowed.error());
    }
    return BpfSource::open(options);
}

}  // namespace

Result<void> check_bpf_is_allowed()
{
    const auto missing = missing_capabilities();
    if (!missing.empty()) {
        return fail(fmt::format("BPF needs {}, which this process lacks: run it as root",
                                fmt::join(missing, " and ")));
    }
    if (lockdown_mode() == "confidentiality") {
        return fail(
            "the kernel's lockdown is \"confidentiality\", and BPF may not read its memory: only "
            "watch --tier poll works");
    }
    if (!proc::pids_are_the_kernels()) {
        return fail(
            "pids in this container are not those that BPF sees: run it on the host, or in the "
            "host's PID namespace");
    }
    return {};
}

namespace {

Result<std::unique_ptr<Source>> open_best(const WatchOptions& options,
                                          const SourceOptions& source_options)
{
    if (options.tier == Tier::poll) {
        return PollSource::open(source_options, "--tier poll asks for it");
    }
    auto bpf = open_bpf(source_options);
    if (bpf || options.tier == Tier::bpf) {
        return bpf;
    }
    auto poll = PollSource::open(source_options, bpf.error().message);
    if (!poll) {
        return fail(fmt::format("{}; and {}", bpf.error().message, poll.error().message));
    }
    return poll;
}

}  // namespace

Result<std::unique_ptr<FallbackSource>> open_source(const WatchOptions& options)
{
    set_libbpf_verbosity(options.verbose);
    SourceOptions source_options{options.targets,
                                 {},
                                 options.limits.warn_after,
                                 options.tick,
                                 options.max_sockets,
                                 options.tls,
                                 options.without};
    auto best = open_best(options, source_options);
    if (!best) {
        return tl::unexpected(best.error());
    }
    return std::make_unique<FallbackSource>(std::move(*best), std::move(source_options));
}

}  // namespace drainwatch
