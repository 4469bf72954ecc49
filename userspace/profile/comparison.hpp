#pragma once

#include "profile/figures.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace drainwatch {

/// A figure before and after.
struct Change {
    std::string name;              ///< "read_latency_ns.p99", as in JSON
    std::optional<double> before;  ///< nothing: it was not measured, as there were no such events
    std::optional<double> after;
    /// after / before; nothing if either was not measured, or there was nothing before.
    [[nodiscard]] std::optional<double> ratio() const;
};

/// A profile that was saved, and this one next to it.
struct Comparison {
    std::string file;  ///< raw
    std::vector<Change> changes;
};

[[nodiscard]] Comparison compare(std::string file, const Figures& before, const Figures& after);

/// A file that --save wrote, or that someone says is one.
[[nodiscard]] Result<Figures> parse_saved(std::string_view text);

/// {"file": ..., "read_latency_ns": {"p50": {"before": ..., "after": ..., "ratio": ...}}}
[[nodiscard]] Json to_json(const Comparison& comparison);

}  // namespace drainwatch
