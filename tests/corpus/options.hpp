#pragma once

#include "corpus/report.hpp"

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace drainwatch::corpus {

/// Many runs, and their report.
struct Options {
    std::vector<std::string> classes;  ///< to run
    std::uint64_t seed = 1;            ///< of the first run of each; the next has the next number
    /// Runs of each class of stalls until they have so many links together, of others half as many.
    std::uint32_t links = 300;
    std::uint32_t runs = 0;  ///< instead, unless 0: so many runs of each class
    std::uint32_t jobs = 1;  ///< at the same time
    std::string results;     ///< file of one JSON object a line; appended to
    std::string markdown;    ///< report; none if empty
    std::string json;        ///< the same
};

/// One run, here and now.
struct Single {
    std::string name;
    std::uint64_t seed = 0;
    bool shows_all = false;  ///< plan and observation on stderr
};

/// Or a text to print: --help. Throws one sentence about what is wrong.
[[nodiscard]] std::variant<Options, Single, std::string> parse_options(int argc, char** argv);

/// By what the report was made, of what, and on what: its first lines.
[[nodiscard]] std::string describe(const Options& options, const Report& report);

}  // namespace drainwatch::corpus
