#pragma once

#include "corpus/score.hpp"

#include <cstdint>
#include <fstream>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace drainwatch::corpus {

/// One run, judged.
struct Result {
    std::string name;  ///< the class
    std::uint64_t seed = 0;
    std::vector<Verdict> verdicts;   ///< one for each link
    std::uint32_t stray_alarms = 0;  ///< false ones about none of them
    std::string version;             ///< of drainwatch
    std::string broken;              ///< why the stage failed; empty if it did not
};

/// One line of JSON, without its end.
[[nodiscard]] std::string to_line(const Result& result);
/// Throws for what is not one.
[[nodiscard]] Result parse_line(const std::string& line);

/// Results in a file, one a line. Runs that are in it are not made again, unless they broke.
class ResultFile {
public:
    /// Throws if it cannot be read or written, or holds something else.
    explicit ResultFile(const std::string& path);

    [[nodiscard]] bool has(const std::string& name, std::uint64_t seed) const;
    void add(Result result);
    [[nodiscard]] const std::vector<Result>& all() const { return results_; }

private:
    std::ofstream file_;
    std::vector<Result> results_;
    std::set<std::pair<std::string, std::uint64_t>> done_;
};

}  // namespace drainwatch::corpus
