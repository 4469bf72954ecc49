#pragma once

#include "drainwatch/source.hpp"
#include "host/tls_library.hpp"
#include "profile/measurement.hpp"

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

struct bpf_link;
struct profile_bpf;

namespace drainwatch {

/// Probes in the TLS libraries of the targets: in their processes, in no other that has the same
/// library. Each costs its process some microseconds a call.
class TlsProbes {
public:
    explicit TlsProbes(TlsLibraries libraries) : libraries_(std::move(libraries)) {}

    /// These processes are the targets now. What they have mapped since is traced as well; what
    /// has ended is let go.
    void follow(profile_bpf& skeleton, const std::set<std::uint32_t>& pids);

    /// Takes the probes out again.
    void detach();

    /// What was traced, and what could not be.
    [[nodiscard]] TlsTraced traced() const;

private:
    struct LinkCloser {
        void operator()(bpf_link* link) const;
    };
    using Link = std::unique_ptr<bpf_link, LinkCloser>;
    struct Process {
        std::set<std::pair<FileId, std::string>> seen;  ///< files and libraries in them
        std::vector<Link> links;
    };

    void trace(profile_bpf& skeleton, std::uint32_t pid, const TlsLibrary& library);
    [[nodiscard]] bool attach(profile_bpf& skeleton, std::uint32_t pid, const TlsLibrary& library,
                              std::vector<Link>& links);
    void note_missing(const TlsLibrary& library, const std::string& reason);

    TlsLibraries libraries_;
    std::map<std::uint32_t, Process> processes_;
    std::map<std::string, TlsTracedLibrary> traced_;  ///< by path and name
    std::map<std::string, MissingPart> missing_;      ///< the same
};

}  // namespace drainwatch
