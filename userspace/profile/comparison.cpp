#include "profile/comparison.hpp"

#include "output/escape.hpp"

#include <cmath>

namespace drainwatch {
namespace {

/// JSON without an end of its nesting would need a stack without an end.
constexpr int kDeepest = 16;

Json number_json(double value)
{
    return std::round(value * 1e6) / 1e6;
}

}  // namespace

std::optional<double> Change::ratio() const
{
    return before > 0 ? std::optional(after / before) : std::nullopt;
}

Comparison compare(std::string file, const Figures& before, const Figures& after)
{
    Comparison comparison{std::move(file), {}};
    const auto add = [&](std::string name, double was, double is) {
        comparison.changes.push_back({std::move(name), was, is});
    };
    const auto reads = [](const Figures& figures) -> const Distribution& {
        return figures.of(DW_DIST_READ_BYTES);
    };
    add("reads_per_s", before.rate(static_cast<double>(reads(before).count())),
        after.rate(static_cast<double>(reads(after).count())));
    add("bytes_per_s", before.rate(reads(before).sum()), after.rate(reads(after).sum()));
    for (const NamedDistribution& named : kNamedDistributions) {
        const Distribution& was = before.of(named.which);
        const Distribution& is = after.of(named.which);
        const std::string name(named.name);
        add(name + ".mean", was.mean(), is.mean());
        for (const NamedQuantile& quantile : kNamedQuantiles) {
            add(name + "." + std::string(quantile.name), was.quantile(quantile.q),
                is.quantile(quantile.q));
        }
        add(name + ".max", static_cast<double>(was.max()), static_cast<double>(is.max()));
    }
    add("tls_above_socket", before.tls_above_socket().value_or(0),
        after.tls_above_socket().value_or(0));
    const auto add_count = [&](const char* name, dw_distribution which) {
        add(name, before.rate(static_cast<double>(before.of(which).count())),
            after.rate(static_cast<double>(after.of(which).count())));
    };
    add_count("tls_read_errors_per_s", DW_DIST_TLS_READ_ERRORS);
    add_count("tls_handshake_errors_per_s", DW_DIST_TLS_HANDSHAKE_ERRORS);
    add("waiting.running", before.waiting.running, after.waiting.running);
    add("waiting.runnable", before.waiting.runnable, after.waiting.runnable);
    add("waiting.sleeping", before.waiting.sleeping, after.waiting.sleeping);
    return comparison;
}

Result<Figures> parse_saved(std::string_view text)
{
    bool too_deep = false;
    const auto guard = [&](int depth, Json::parse_event_t /*event*/, Json& /*parsed*/) {
        too_deep = too_deep || depth > kDeepest;
        return !too_deep;
    };
    const Json json = Json::parse(text, guard, false);
    if (json.is_discarded() || too_deep || !json.is_object()) {
        return fail("it is no JSON object");
    }
    const auto event = json.find("event");
    if (event == json.end() || *event != "profile") {
        return fail("it is no profile");
    }
    return figures_from_json(json);
}

Json to_json(const Comparison& comparison)
{
    Json json;
    json["file"] = escape(comparison.file);
    for (const Change& change : comparison.changes) {
        const auto dot = change.name.find('.');
        Json& place = dot == std::string::npos
                          ? json[change.name]
                          : json[change.name.substr(0, dot)][change.name.substr(dot + 1)];
        const auto ratio = change.ratio();
        place = {{"before", number_json(change.before)},
                 {"after", number_json(change.after)},
                 {"ratio", ratio ? number_json(*ratio) : Json(nullptr)}};
    }
    return json;
}

}  // namespace drainwatch
