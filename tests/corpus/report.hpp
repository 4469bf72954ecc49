#pragma once

#include "corpus/results.hpp"

#include <cstddef>
#include <string>
#include <vector>

/// What many runs say together. Pure.
namespace drainwatch::corpus {

/// A class, or several.
struct Row {
    std::string name;
    std::size_t runs = 0;
    std::size_t links = 0;
    std::size_t zeros = 0;
    std::size_t warned = 0;  ///< of the zeros
    std::size_t sudden = 0;  ///< others: see Verdict
    std::size_t stalls = 0;
    std::size_t told = 0;  ///< of the stalls
    std::size_t resets = 0;
    std::size_t resets_told = 0;
    std::size_t false_alarms = 0;
    std::size_t held_back = 0;
    std::size_t new_pauses = 0;
    std::size_t never_cleared = 0;
    std::vector<double> cleared_ms;
    std::vector<double> lead_share;  ///< where 200 ms or more were possible
    std::vector<double> forecast_error;
    std::vector<double> delay_ms;
    std::size_t estimated = 0;  ///< zero windows whose time is an estimate
    std::size_t disagreements = 0;
    std::size_t broken = 0;
};

struct Goal {
    std::string text;
    std::string measured;
    bool met = true;
};

struct Report {
    std::vector<Row> rows;  ///< of the classes that ran, in the corpus's order
    Row bpf;                ///< all of tier bpf together
    Row polled;             ///< all of tier poll
    std::vector<Goal> goals;
    std::vector<std::string> versions;  ///< of drainwatch, in the order of the runs
};

[[nodiscard]] Report make_report(const std::vector<Result>& results);

/// Tables, with `made_by` above them: by what, on what machine.
[[nodiscard]] std::string to_markdown(const Report& report, const std::string& made_by);
[[nodiscard]] Json to_json(const Report& report);

/// Nothing that must never happen did: a zero window without a warning, a stall or a reset untold,
/// a warning that is never over, nor, in tier bpf, a false alarm or a zero window told otherwise
/// than captured. (A poll's forecast of a reader that loses ground rests on estimates of the
/// window.)
[[nodiscard]] bool is_clean(const Report& report);

}  // namespace drainwatch::corpus
