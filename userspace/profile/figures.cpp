#include "profile/figures.hpp"

#include "drainwatch/units.hpp"
#include "output/escape.hpp"
#include "profile/system_calls.hpp"

#include <fmt/format.h>
#include <cmath>
#include <stdexcept>

namespace drainwatch {
namespace {

/// To one part in `scale`.
double rounded(double value, double scale)
{
    return std::round(value * scale) / scale;
}

Json to_json(const Distribution& distribution)
{
    Json json;
    json["count"] = distribution.count();
    json["mean"] = rounded(distribution.mean(), 10);
    for (const NamedQuantile& quantile : kNamedQuantiles) {
        json[std::string(quantile.name)] = std::llround(distribution.quantile(quantile.q));
    }
    json["max"] = distribution.max();
    json["buckets"] = Json::array();
    for (const auto& [bucket, count] : distribution.buckets()) {
        json["buckets"].push_back({dw_bucket_lower(bucket), count});
    }
    return json;
}

Json to_json(const Shares& shares)
{
    if (shares.total_ns == 0) {
        return nullptr;
    }
    constexpr double kDigits = 1e6;
    Json json;
    json["total_ms"] = rounded(shares.total_ns / kNsPerMs, 1e3);
    json["running"] = rounded(shares.running, kDigits);
    json["runnable"] = rounded(shares.runnable, kDigits);
    json["sleeping"] = rounded(shares.sleeping, kDigits);
    json["unknown"] = rounded(shares.unknown, kDigits);
    json["calls"] = Json::object();
    for (const auto& [call, share] : shares.calls) {
        json["calls"][call] = rounded(share, kDigits);
    }
    return json;
}

/// A member of what ought to be an object that has it.
const Json& member(const Json& object, std::string_view key)
{
    const auto found = object.find(std::string(key));
    if (found == object.end()) {
        throw std::invalid_argument(fmt::format("it has no \"{}\"", key));
    }
    return *found;
}

/// A number of the object, in a range; a NaN cannot be written in JSON.
double number(const Json& object, std::string_view key, double most)
{
    const Json& value = member(object, key);
    if (!value.is_number()) {
        throw std::invalid_argument(fmt::format("\"{}\" is no number", escape(key)));
    }
    const auto result = value.get<double>();
    if (!(result >= 0 && result <= most)) {
        throw std::invalid_argument(fmt::format("\"{}\" is out of range", escape(key)));
    }
    return result;
}

/// As large as a double counts exactly.
constexpr double kMost = 9007199254740992.0;

std::uint64_t whole_number(const Json& value, std::string_view what)
{
    if (!value.is_number_unsigned() || value.get<double>() > kMost) {
        throw std::invalid_argument(fmt::format("{} is no whole number", what));
    }
    return value.get<std::uint64_t>();
}

Distribution distribution_from(const Json& json, std::string_view name)
{
    Distribution distribution;
    const Json& buckets = member(json, "buckets");
    if (!buckets.is_array()) {
        throw std::invalid_argument(fmt::format("the buckets of \"{}\" are no list", name));
    }
    std::uint64_t least = 0;
    for (const Json& entry : buckets) {
        if (!entry.is_array() || entry.size() != 2) {
            throw std::invalid_argument(fmt::format("a bucket of \"{}\" is no pair", name));
        }
        const std::uint64_t lower = whole_number(entry[0], "a bucket's bound");
        const std::uint64_t count = whole_number(entry[1], "a bucket's count");
        const std::uint32_t bucket = dw_bucket_of(lower);
        if (dw_bucket_lower(bucket) != lower || lower < least || count == 0) {
            throw std::invalid_argument(
                fmt::format("\"{}\" has a bucket at {} that cannot be", name, lower));
        }
        least = lower + 1;
        distribution.add(bucket, {count, 0, lower});
    }
    if (whole_number(member(json, "count"), "a count") != distribution.count()) {
        throw std::invalid_argument(fmt::format("the buckets of \"{}\" miss its count", name));
    }
    distribution.set_exact(number(json, "mean", kMost),
                           whole_number(member(json, "max"), "a maximum"));
    return distribution;
}

/// Profiles that were saved before TLS calls were measured have nothing of them: NULL.
const Json* measured_member(const Json& json, std::string_view name)
{
    return name.starts_with("tls_") && !json.contains(std::string(name)) ? nullptr
                                                                         : &member(json, name);
}

Shares shares_from(const Json& json)
{
    Shares shares;
    if (json.is_null()) {
        return shares;
    }
    shares.total_ns = number(json, "total_ms", kMost / kNsPerMs) * kNsPerMs;
    shares.running = number(json, "running", 1);
    shares.runnable = number(json, "runnable", 1);
    shares.sleeping = number(json, "sleeping", 1);
    shares.unknown = number(json, "unknown", 1);
    const Json& calls = member(json, "calls");
    if (!calls.is_object()) {
        throw std::invalid_argument("\"calls\" is no object");
    }
    for (const auto& [call, share] : calls.items()) {
        shares.calls[call] = number(calls, call, 1);
    }
    return shares;
}

}  // namespace

double Figures::rate(double amount) const
{
    return duration_ns != 0 ? amount / (static_cast<double>(duration_ns) / kNsPerS) : 0;
}

std::optional<double> Figures::tls_above_socket() const
{
    const double all = of(DW_DIST_TLS_LATENCY).sum();
    return all > 0 ? std::optional(of(DW_DIST_TLS_ABOVE_SOCKET).sum() / all) : std::nullopt;
}

Figures to_figures(const Measured& measured, std::uint64_t duration_ns)
{
    Figures figures;
    figures.duration_ns = duration_ns;
    figures.distributions = measured.distributions;
    figures.unread = measured.unread;
    const Waiting& waiting = measured.waiting;
    Shares& shares = figures.waiting;
    shares.total_ns = static_cast<double>(waiting.total_ns());
    const auto share = [&](std::uint64_t ns) {
        return shares.total_ns != 0 ? static_cast<double>(ns) / shares.total_ns : 0;
    };
    shares.running = share(waiting.running_ns);
    shares.runnable = share(waiting.runnable_ns);
    shares.sleeping = share(waiting.sleeping_ns());
    shares.unknown = share(waiting.unknown_ns);
    for (const auto& [call, ns] : waiting.asleep_ns) {
        shares.calls[system_call_name(call)] += share(ns);
    }
    return figures;
}

Json to_json(const Figures& figures)
{
    Json json;
    const Distribution& reads = figures.of(DW_DIST_READ_BYTES);
    json["duration_ms"] = rounded(static_cast<double>(figures.duration_ns) / kNsPerMs, 1e3);
    json["reads"] = reads.count();
    json["bytes"] = std::llround(reads.sum());
    for (const NamedCount& named : kNamedCounts) {
        json[std::string(named.name)] = figures.of(named.which).count();
    }
    json["reads_per_s"] = rounded(figures.rate(static_cast<double>(reads.count())), 1e3);
    json["bytes_per_s"] = rounded(figures.rate(reads.sum()), 1e3);
    for (const NamedDistribution& named : kNamedDistributions) {
        json[std::string(named.name)] = to_json(figures.of(named.which));
    }
    const auto above = figures.tls_above_socket();
    json["tls_above_socket"] = above ? Json(rounded(*above, 1e6)) : Json(nullptr);
    json["waiting"] = to_json(figures.waiting);
    const Unread& unread = figures.unread;
    json["unread_sockets"] = unread.sockets;
    json["unread_bytes"] = unread.bytes;
    json["oldest_unread_ms"] =
        unread.sockets != 0 ? Json(rounded(static_cast<double>(unread.oldest_ns) / kNsPerMs, 1e3))
                            : Json(nullptr);
    return json;
}

Result<Figures> figures_from_json(const Json& json)
{
    try {
        Figures figures;
        figures.duration_ns =
            static_cast<std::uint64_t>(number(json, "duration_ms", kMost / kNsPerMs) * kNsPerMs);
        for (const NamedDistribution& named : kNamedDistributions) {
            if (const Json* value = measured_member(json, named.name)) {
                figures.distributions[static_cast<std::size_t>(named.which)] =
                    distribution_from(*value, named.name);
            }
        }
        for (const NamedCount& named : kNamedCounts) {
            const Json* value = measured_member(json, named.name);
            const std::uint64_t counted = value != nullptr ? whole_number(*value, named.name) : 0;
            if (counted != 0) {
                figures.distributions[static_cast<std::size_t>(named.which)].add(0,
                                                                                 {counted, 0, 0});
            }
        }
        figures.waiting = shares_from(member(json, "waiting"));
        return figures;
    } catch (const std::invalid_argument& error) {
        return fail(error.what());
    }
}

}  // namespace drainwatch
