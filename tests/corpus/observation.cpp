#include "corpus/observation.hpp"

namespace drainwatch::corpus {
namespace {

Json to_json(const Interval& interval)
{
    return {interval.begin_ns, interval.end_ns};
}

template <typename T>
Json or_null(const std::optional<T>& value)
{
    return value ? Json(*value) : Json(nullptr);
}

Json to_json(const Said& said)
{
    return {{"event", said.event},
            {"severity", said.severity},
            {"read_ns", said.read_ns},
            {"written_ns", said.written_ns},
            {"announced_ns", or_null(said.announced_ns)},
            {"estimated", said.estimated},
            {"zero_in_ms", or_null(said.zero_in_ms)},
            {"line", said.line}};
}

Json to_json(const Link& link)
{
    Json json{{"peer_port", link.peer_port},
              {"last_read_ns", link.last_read_ns},
              {"zeros_ns", link.witness.zeros_ns},
              {"widened_ns", link.witness.widened_ns},
              {"holds_ns", link.witness.holds_ns},
              {"reset_ns", or_null(link.witness.reset_ns)},
              {"first_unread_ns", or_null(link.witness.first_unread_ns)},
              {"gaps", Json::array()},
              {"said", Json::array()}};
    for (const Gap& gap : link.gaps) {
        json["gaps"].push_back({gap.begin_ns, gap.asked_ns, gap.end_ns});
    }
    for (const Said& said : link.said) {
        json["said"].push_back(to_json(said));
    }
    return json;
}

}  // namespace

Json to_json(const Observation& observation)
{
    Json json{{"watched_ns", observation.watched_ns},
              {"trouble", to_json(observation.trouble)},
              {"ended_ns", observation.ended_ns},
              {"version", observation.version},
              {"strays", Json::array()},
              {"stalls", Json::array()},
              {"links", Json::array()}};
    for (const HostStall& stall : observation.stalls) {
        json["stalls"].push_back({stall.begin_ns, stall.end_ns});
    }
    for (const Said& said : observation.strays) {
        json["strays"].push_back(to_json(said));
    }
    for (const Link& link : observation.links) {
        json["links"].push_back(to_json(link));
    }
    return json;
}

}  // namespace drainwatch::corpus
