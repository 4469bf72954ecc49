#include "bench/plot.hpp"

#include "support/process.hpp"

#include <fmt/format.h>
#include <fstream>
#include <stdexcept>

namespace drainwatch::bench {
namespace {

/// Of the bars of one name together.
constexpr double kBarsWidth = 0.8;

/// Names hold underscores, which gnuplot would take for subscripts: "noenhanced".
constexpr auto kHead =
    R"(set terminal svg size 760,420 noenhanced font 'Helvetica,13' background '#ffffff'
set output '{}'
set title '{}'
set xlabel '{}'
set ylabel '{}'
set grid ytics lc rgb '#dddddd'
set border 3
set tics nomirror
set key outside top center horizontal
set style fill solid 0.85 border rgb '#404040'
set linetype 1 lc rgb '#1f6fb4' lw 2 pt 7
set linetype 2 lc rgb '#d98014' lw 2 pt 5
set linetype 3 lc rgb '#3c9a4b' lw 2 pt 9
set linetype 4 lc rgb '#8a5fb0' lw 2 pt 11
)";

std::string data_of(const Series& series, std::size_t index, double shift)
{
    std::string text = fmt::format("$series{} << EOD\n", index);
    for (const Point& point : series.points) {
        text += fmt::format("{} {} {} {}\n", point.at + shift, point.value, point.low, point.high);
    }
    return text + "EOD\n";
}

std::string script_of(const Plot& plot, const std::filesystem::path& file)
{
    std::string script = fmt::format(kHead, file.string(), plot.title, plot.x_label, plot.y_label);
    const bool bars = !plot.names.empty();
    const double width = kBarsWidth / static_cast<double>(plot.series.size());
    if (plot.logarithmic) {
        script += "set logscale xy\nset format x '%.0f'\n";
    }
    if (bars) {
        script += fmt::format("set boxwidth {}\nset xrange [-0.6:{}]\nset yrange [0:*]\n", width,
                              static_cast<double>(plot.names.size()) - 0.4);
        script += "set xtics rotate by -20 (";
        for (std::size_t i = 0; i < plot.names.size(); i++) {
            script += fmt::format("{}'{}' {}", i > 0 ? ", " : "", plot.names[i], i);
        }
        script += ")\n";
    }
    std::string what;
    for (std::size_t i = 0; i < plot.series.size(); i++) {
        const double shift = bars ? (static_cast<double>(i) + 0.5) * width - kBarsWidth / 2 : 0;
        script += data_of(plot.series[i], i, shift);
        const std::string style =
            bars ? fmt::format("1:2:3:4:({}) with boxerrorbars", width) : "1:2 with linespoints";
        what += fmt::format("{}$series{} using {} lt {} title '{}'", i > 0 ? ", " : "", i, style,
                            i + 1, plot.series[i].title);
    }
    int dashes = 2;
    for (const auto& [title, value] : plot.goals) {
        what += fmt::format(", {} with lines lc rgb '#b02020' dt {} lw 1.5 title '{}'", value,
                            dashes++, title);
    }
    return script + "plot " + what + "\n";
}

}  // namespace

void draw(const Plot& plot, const std::filesystem::path& file)
{
    const std::filesystem::path script =
        std::filesystem::temp_directory_path() / ("drainwatch-" + file.filename().string() + ".gp");
    std::ofstream(script) << script_of(plot, file);
    const live::Outcome outcome = live::run({"gnuplot", script.string()});
    std::filesystem::remove(script);
    if (outcome.code != 0) {
        throw std::runtime_error("gnuplot: " + outcome.err);
    }
}

}  // namespace drainwatch::bench
