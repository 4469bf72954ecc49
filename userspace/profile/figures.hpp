#pragma once

#include "drainwatch/result.hpp"
#include "output/event.hpp"
#include "profile/measurement.hpp"

#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace drainwatch {

/// Of the time in which data lay unread: shares that add up to 1, if there was any such time.
struct Shares {
    double total_ns = 0;
    double running = 0;
    double runnable = 0;
    double sleeping = 0;
    double unknown = 0;                   ///< nobody has read, it is not known who would
    std::map<std::string, double> calls;  ///< what `sleeping` is made of
};

/// What is reported of a group of reads.
struct Figures {
    std::uint64_t duration_ns = 0;
    std::array<Distribution, DW_DISTRIBUTIONS> distributions;
    Shares waiting;
    Unread unread;  ///< at the end

    [[nodiscard]] const Distribution& of(dw_distribution which) const
    {
        return distributions[static_cast<std::size_t>(which)];
    }
    /// A second; 0 if nothing was measured.
    [[nodiscard]] double rate(double amount) const;
    /// Of the time from the arrival of data to the return of the TLS library's call that read it,
    /// what came after the read of the socket: 0 to 1; nothing if there were no such calls.
    [[nodiscard]] std::optional<double> tls_above_socket() const;
};

/// A distribution that is printed in full, and its name in JSON.
struct NamedDistribution {
    dw_distribution which{};
    std::string_view name;
};
inline constexpr std::array kNamedDistributions{
    NamedDistribution{DW_DIST_READ_LATENCY, "read_latency_ns"},
    NamedDistribution{DW_DIST_WAKEUP, "wakeup_ns"},
    NamedDistribution{DW_DIST_SCHEDULE, "schedule_ns"},
    NamedDistribution{DW_DIST_APPLICATION, "application_ns"},
    NamedDistribution{DW_DIST_UNATTRIBUTED, "unattributed_ns"},
    NamedDistribution{DW_DIST_READ_BYTES, "read_bytes"},
    NamedDistribution{DW_DIST_QUEUE_BYTES, "queue_bytes"},
    NamedDistribution{DW_DIST_TLS_READ, "tls_read_ns"},
    NamedDistribution{DW_DIST_TLS_LATENCY, "tls_read_latency_ns"},
    NamedDistribution{DW_DIST_TLS_ABOVE_SOCKET, "tls_above_socket_ns"},
    NamedDistribution{DW_DIST_TLS_HANDSHAKE, "tls_handshake_ns"},
};

/// What is only counted, and its name.
struct NamedCount {
    dw_distribution which{};
    std::string_view name;
};
inline constexpr std::array kNamedCounts{
    NamedCount{DW_DIST_EMPTY_READS, "empty_reads"},
    NamedCount{DW_DIST_PEEKS, "peeks"},
    NamedCount{DW_DIST_TLS_EMPTY_READS, "tls_empty_reads"},
    NamedCount{DW_DIST_TLS_READ_ERRORS, "tls_read_errors"},
    NamedCount{DW_DIST_TLS_HANDSHAKE_ERRORS, "tls_handshake_errors"},
};

/// A quantile that is printed, and its name.
struct NamedQuantile {
    double q;
    std::string_view name;
};
inline constexpr std::array kNamedQuantiles{NamedQuantile{0.5, "p50"}, NamedQuantile{0.9, "p90"},
                                            NamedQuantile{0.99, "p99"},
                                            NamedQuantile{0.999, "p999"}};

[[nodiscard]] Figures to_figures(const Measured& measured, std::uint64_t duration_ns);

/// As fields of the `profile` event.
[[nodiscard]] Json to_json(const Figures& figures);

/// The contrary, but for what lay unread at the end. The JSON is someone else's: anything may be in
/// it.
[[nodiscard]] Result<Figures> figures_from_json(const Json& json);

}  // namespace drainwatch
