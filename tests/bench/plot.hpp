#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace drainwatch::bench {

/// Points of one kind, and the interval around each, if `low` and `high` are not its value.
struct Point {
    double at = 0;
    double value = 0;
    double low = 0;
    double high = 0;
};
struct Series {
    std::string title;
    std::vector<Point> points;
};

/// One figure. Lines over an axis of numbers, or bars over names.
struct Plot {
    std::string title;
    std::string x_label;
    std::string y_label;
    bool logarithmic = false;          ///< both axes
    std::vector<std::string> names{};  ///< of the bars, which stand at 0, 1, ...; empty: lines
    std::vector<Series> series{};
    std::vector<std::pair<std::string, double>> goals{};  ///< a line across, each
};

/// Draws it by gnuplot as SVG, on white, so that it can be read on any page. Throws if gnuplot
/// fails.
void draw(const Plot& plot, const std::filesystem::path& file);

}  // namespace drainwatch::bench
