#pragma once

#include "drainwatch/source.hpp"
#include "profile/comparison.hpp"
#include "profile/figures.hpp"

#include <optional>
#include <string>
#include <vector>

namespace drainwatch {

struct ReportGroup {
    std::string name;  ///< "gip(29543)", with "/worker(29544)" or the socket's addresses
    Figures figures;
};

/// What `profile` has to tell.
struct Report {
    std::string target;           ///< in words: "gip and pid 29543, port 8765"
    bool target_was_seen = true;  ///< a process of it, with a TCP connection
    Figures figures;
    bool is_grouped = false;          ///< with --per
    std::vector<ReportGroup> groups;  ///< most reads first
    NotMeasured not_measured;
    TlsTraced tls;
    std::string tls_library;  ///< raw: the only one that was to be traced; empty: any
    std::vector<MissingPart> missing;
    std::optional<Comparison> comparison;
};

/// Names what was measured. Where a process has no name any more, its thread's will do.
[[nodiscard]] Report make_report(const Measurement& measurement, dw_grouping grouping,
                                 std::string target);

/// Why the target is slow, if it is: one sentence.
[[nodiscard]] std::string verdict(const Report& report);

/// "300 bytes in 1 socket, the oldest for 4.20 s": what lies unread at the end, if anything does.
[[nodiscard]] std::optional<std::string> unread_in_words(const Unread& unread);

/// Nothing was traced, for no target has such a library: which may be as it should be. Nothing if
/// that is not so.
[[nodiscard]] std::optional<MissingPart> tls_not_found(const Report& report);

/// The `profile` event.
[[nodiscard]] Event to_event(const Report& report);

/// For a person: lines of 80 columns at most.
[[nodiscard]] std::vector<std::string> to_text(const Report& report);

}  // namespace drainwatch
