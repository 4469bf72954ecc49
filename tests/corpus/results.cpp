#include "corpus/results.hpp"

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
    return {{"zero", v.zero},
            {"warned", v.warned},
            {"stalled", v.stalled},
            {"stall_told", v.stall_told},
            {"false_alarms", v.false_alarms},
            {"held_back", v.held_back},
            {"cleared_ms", v.cleared_ms},
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
    v.zero = json.at("zero");
    v.warned = json.at("warned");
    v.stalled = json.at("stalled");
    v.stall_told = json.at("stall_told");
    v.false_alarms = json.at("false_alarms");
    v.held_back = json.at("held_back");
    v.cleared_ms = json.at("cleared_ms").get<std::vector<double>>();
    v.possible_ms = optional_number(json.at("possible_ms"));
    v.lead_ms = optional_number(json.at("lead_ms"));
    v.delay_ms = json.at("delay_ms").get<std::vector<double>>();
    v.forecast_error = optional_number(json.at("forecast_error"));
    v.agrees = json.at("agrees");
    v.estimated = json.at("estimated");
    return v;
}

}  // namespace

std::string to_line(const Result& result)
{
    Json json{{"class", result.name}, {"seed", result.seed}};
    if (!result.broken.empty()) {
        json["broken"] = result.broken;
        return json.dump();
    }
    json["links"] = Json::array();
    for (const Verdict& verdict : result.verdicts) {
        json["links"].push_back(to_json(verdict));
    }
    return json.dump();
}

Result parse_line(const std::string& line)
{
    const Json json = Json::parse(line);
    Result result{json.at("class"), json.at("seed"), {}, json.value("broken", "")};
    for (const Json& link : json.value("links", Json::array())) {
        result.verdicts.push_back(to_verdict(link));
    }
    return result;
}

ResultFile::ResultFile(const std::string& path)
{
    std::ifstream before(path);
    std::string line;
    while (std::getline(before, line)) {
        if (line.empty() || before.eof()) {
            continue;  // a run that was stopped has left the last line half written
        }
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
