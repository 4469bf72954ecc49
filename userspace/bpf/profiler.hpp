#pragma once

#include "bpf/bpf_source.hpp"
#include "bpf/tls_probes.hpp"
#include "drainwatch/profile_abi.h"
#include "profile/measurement.hpp"

#include <memory>

struct profile_bpf;

namespace drainwatch {

struct ProfilerOptions {
    Targets targets;
    dw_grouping grouping = DW_GROUP_ALL;
    bool stacks = false;
    TlsLibraries tls_libraries;
    std::uint32_t max_sockets = 1024;  ///< measured at once; each costs 9 KiB of kernel memory
};

/// Measures how the targets read their sockets: a watch that says which sockets those are, and
/// programs of its own on top.
class Profiler {
public:
    /// Attaches, takes the first full look, and measures from then on.
    [[nodiscard]] static Result<std::unique_ptr<Profiler>> open(const ProfilerOptions& options);
    ~Profiler();
    Profiler(const Profiler&) = delete;
    Profiler& operator=(const Profiler&) = delete;

    /// What is not there on this kernel, and what that costs.
    [[nodiscard]] const std::vector<MissingPart>& missing() const { return missing_; }

    /// A full look for targets and sockets that no event told of; to be taken now and then.
    void find_targets();

    /// Idle sockets hold what busy ones may want, until make_room() or find_targets().
    [[nodiscard]] bool is_short_of_room() const { return source_->is_short_of_room(); }
    void make_room() { (void)source_->heal(); }

    /// What it stands on.
    [[nodiscard]] const Source& source() const { return *source_; }

    /// Reads so far: cheap enough for a progress line.
    [[nodiscard]] std::uint64_t reads() const;

    /// Ends the measuring, and tells what it was.
    [[nodiscard]] Measurement finish();

private:
    struct SkeletonDeleter {
        void operator()(profile_bpf* skeleton) const;
    };
    using ProfileSkeleton = std::unique_ptr<profile_bpf, SkeletonDeleter>;

    explicit Profiler(const ProfilerOptions& options)
        : options_(options), tls_(options.tls_libraries)
    {}

    [[nodiscard]] Result<void> attach(const drainwatch_bpf& watch);
    [[nodiscard]] ProfileSkeleton load(const drainwatch_bpf& watch, const dw_profile_config& config,
                                       bool calls_by_fexit, bool tls) const;
    [[nodiscard]] ProfileSkeleton load_with_or_without_tls(const drainwatch_bpf& watch,
                                                           const dw_profile_config& config,
                                                           bool calls_by_fexit);
    void ask_for_stamps();
    void tell_time();
    void add_lone_readers();
    void begin_slots();
    void name_processes(Measurement& measurement) const;

    ProfilerOptions options_;
    std::vector<MissingPart> missing_;
    std::unique_ptr<BpfSource> source_;  ///< its maps outlive the programs that share them
    ProfileSkeleton skeleton_;
    bool tls_can_be_traced_ = false;
    TlsProbes tls_;  ///< its links end before the programs
    File stamping_;  ///< as long as it is open, the kernel stamps what it receives
    std::uint64_t began_ns_ = 0;
};

}  // namespace drainwatch
