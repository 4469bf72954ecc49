#include "output/source_json.hpp"

#include "output/escape.hpp"

#include <fmt/format.h>

namespace drainwatch {

std::vector<std::string> processes_in_words(const Targets& targets)
{
    std::vector<std::string> who;
    for (const std::string& name : targets.names) {
        who.push_back(escape(name));
    }
    for (const std::uint32_t pid : targets.pids) {
        who.push_back(fmt::format("pid {}", pid));
    }
    return who;
}

std::string targets_in_words(const Targets& targets)
{
    std::vector<std::string> who = processes_in_words(targets);
    if (targets.all) {
        who.emplace_back("every process");
    }
    return fmt::format("{}{}{}", fmt::join(who, " and "), targets.ports.empty() ? "" : ", port ",
                       fmt::join(targets.ports, " and "));
}

Json to_json(const Targets& targets)
{
    Json json;
    json["processes"] = Json::array();
    for (const std::string& name : targets.names) {
        json["processes"].push_back(escape(name));
    }
    json["pids"] = targets.pids;
    json["ports"] = targets.ports;
    json["all"] = targets.all;
    return json;
}

Json to_json(const std::vector<MissingPart>& missing)
{
    Json json = Json::array();
    for (const MissingPart& part : missing) {
        json.push_back({{"program", part.name}, {"reason", part.reason}, {"cost", part.cost}});
    }
    return json;
}

}  // namespace drainwatch
