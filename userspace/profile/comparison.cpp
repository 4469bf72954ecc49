#include "profile/comparison.hpp"

#include "output/escape.hpp"

#include <fmt/format.h>
#include <cmath>

namespace drainwatch {
namespace {

/// JSON without an end of its nesting would need a stack without an end.
constexpr int kDeepest = 16;

Json number_json(std::optional<double> value)
{
    return value ? Json(std::round(*value * 1e6) / 1e6) : Json(nullptr);
}

}  // namespace

std::optional<double> Change::ratio() const
{
    return after && before.value_or(0) > 0 ? std::optional(*after / *before) : std::nullopt;
}

Comparison compare(std::string file, const Figures& before, const Figures& after)
{
    Comparison comparison{std::move(file), {}};
    const auto add = [&](std::string name, std::optional<double> was, std::optional<double> is) {
        comparison.changes.push_back({std::move(name), was, is});
    };
    const auto reads = [](const Figures& figures) -> const Distribution& {
        return figures.of(DW_DIST_READ_BYTES);
    };
    add("reads_per_s", before.rate(static_cast<double>(reads(before).count())),
        after.rate(static_cast<double>(reads(after).count())));
    add("bytes_per_s", before.rate(reads(before).sum()), after.rate(reads(after).sum()));
    for (const NamedDistribution& named : kNamedDistributions) {
        const auto add_both = [&](std::string_view figure, const auto& of) {
            const auto if_any = [&](const Figures& figures) {
                const Distribution& values = figures.of(named.which);
                return values.count() != 0 ? std::optional<double>(of(values)) : std::nullopt;
            };
            add(fmt::format("{}.{}", named.name, figure), if_any(before), if_any(after));
        };
        add_both("mean", [](const Distribution& values) { return values.mean(); });
        for (const NamedQuantile& quantile : kNamedQuantiles) {
            add_both(quantile.name,
                     [&](const Distribution& values) { return values.quantile(quantile.q); });
        }
        add_both("max",
                 [](const Distribution& values) { return static_cast<double>(values.max()); });
    }
    add("tls_above_socket", before.tls_above_socket(), after.tls_above_socket());
    const auto add_count = [&](const char* name, dw_distribution which) {
        add(name, before.rate(static_cast<double>(before.of(which).count())),
            after.rate(static_cast<double>(after.of(which).count())));
    };
    add_count("tls_read_errors_per_s", DW_DIST_TLS_READ_ERRORS);
    add_count("tls_handshake_errors_per_s", DW_DIST_TLS_HANDSHAKE_ERRORS);
    const auto add_share = [&](const char* name, double Shares::*share) {
        const auto if_any = [&](const Shares& waiting) {
            return waiting.total_ns != 0 ? std::optional(waiting.*share) : std::nullopt;
        };
        add(name, if_any(before.waiting), if_any(after.waiting));
    };
    add_share("waiting.running", &Shares::running);
    add_share("waiting.runnable", &Shares::runnable);
    add_share("waiting.sleeping", &Shares::sleeping);
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
