#include "corpus/results.hpp"

#include <filesystem>
#include <iterator>
#include <stdexcept>

namespace drainwatch::corpus {
namespace {

template <typename T>
Json optional_json(const std::optional<T>& value)
{
    return value ? Json(*value) : Json(nullptr);
}

std::optional<double> optional_number(const Json& json)
{
    return json.is_null() ? std::nullopt : std::optional(json.get<double>());
}

Json to_json(const Verdict& v)
{
    return {{"zeros", v.zeros},
            {"warned", v.warned},
            {"sudden", v.sudden},
            {"stalled", v.stalled},
            {"stall_told", v.stall_told},
            {"reset", v.reset},
            {"reset_told", v.reset_told},
            {"false_alarms", v.false_alarms},
            {"held_back", v.held_back},
            {"new_pauses", v.new_pauses},
            {"cleared_ms", v.cleared_ms},
            {"never_cleared", v.never_cleared},
            {"possible_ms", optional_json(v.possible_ms)},
            {"lead_ms", optional_json(v.lead_ms)},
            {"delay_ms", v.delay_ms},
            {"forecast_error", optional_json(v.forecast_error)},
            {"agrees", v.agrees},
            {"estimated", v.estimated}};
}

Verdict to_verdict(const Json& json)
{
    Verdict v;
    v.zeros = json.at("zeros");
    v.warned = json.at("warned");
    v.sudden = json.at("sudden");
    v.stalled = json.at("stalled");
    v.stall_told = json.at("stall_told");
    v.reset = json.at("reset");
    v.reset_told = json.at("reset_told");
    v.false_alarms = json.at("false_alarms");
    v.held_back = json.at("held_back");
    v.new_pauses = json.at("new_pauses");
    v.cleared_ms = json.at("cleared_ms").get<std::vector<double>>();
    v.never_cleared = json.at("never_cleared");
    v.possible_ms = optional_number(json.at("possible_ms"));
    v.lead_ms = optional_number(json.at("lead_ms"));
    v.delay_ms = json.at("delay_ms").get<std::vector<double>>();
    v.forecast_error = optional_number(json.at("forecast_error"));
    v.agrees = json.at("agrees");
    v.estimated = json.at("estimated");
    return v;
}

/// What a run that was stopped has left half written, the last line, is cut off.
void cut_to_whole_lines(const std::string& path)
{
    std::ifstream file(path, std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    const std::size_t end = text.rfind('\n');
    const std::size_t whole = end == std::string::npos ? 0 : end + 1;
    if (whole != text.size()) {
        std::filesystem::resize_file(path, whole);
    }
}

}  // namespace

std::string to_line(const Result& result)
{
    Json json{{"class", result.name}, {"seed", result.seed}};
    if (!result.broken.empty()) {
        json["broken"] = result.broken;
        return json.dump();
    }
    json["version"] = result.version;
    json["stray_alarms"] = result.stray_alarms;
    json["links"] = Json::array();
    for (const Verdict& verdict : result.verdicts) {
        json["links"].push_back(to_json(verdict));
    }
    return json.dump();
}

Result parse_line(const std::string& line)
{
    const Json json = Json::parse(line);
    Result result;
    result.name = json.at("class");
    result.seed = json.at("seed");
    result.broken = json.value("broken", "");
    result.version = json.value("version", "");
    result.stray_alarms = json.value("stray_alarms", 0U);
    for (const Json& link : json.value("links", Json::array())) {
        result.verdicts.push_back(to_verdict(link));
    }
    return result;
}

ResultFile::ResultFile(const std::string& path)
{
    cut_to_whole_lines(path);
    std::ifstream before(path);
    std::string line;
    while (std::getline(before, line)) {
        Result result = parse_line(line);
        if (result.broken.empty()) {
            done_.emplace(result.name, result.seed);
            results_.push_back(std::move(result));
        }
    }
    file_.open(path, std::ios::app);
    if (!file_) {
        throw std::runtime_error("cannot write to " + path);
    }
}

bool ResultFile::has(const std::string& name, std::uint64_t seed) const
{
    return done_.contains({name, seed});
}

void ResultFile::add(Result result)
{
    file_ << to_line(result) << std::endl;
    results_.push_back(std::move(result));
}

}  // namespace drainwatch::corpus
