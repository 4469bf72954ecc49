#pragma once

#include "app/fallback_source.hpp"
#include "budget/cost_meter.hpp"
#include "budget/shedder.hpp"
#include "output/event.hpp"

#include <optional>
#include <string>
#include <unordered_map>

namespace drainwatch {

/// Keeps what watching costs within the budget: measures, asks the shedder, carries its orders out
/// and says so.
class BudgetKeeper {
public:
    /// `budget`: share of one core; 0: no limit.
    BudgetKeeper(double budget, FallbackSource& source);

    /// What has cost CPU before this does not count.
    void begin();

    /// CPU time of this process that went into what streams said of TLS.
    void spent_on_streams(std::uint64_t cpu_ns) { stream_ns_ += cpu_ns; }

    /// Does nothing until it is due. Returns what is to be told, if something has changed.
    [[nodiscard]] std::optional<Event> review();

    [[nodiscard]] std::uint64_t due_ns() const { return due_ns_; }
    [[nodiscard]] unsigned look_spacing() const { return shedder_.look_spacing(); }

private:
    [[nodiscard]] Spending measure(const std::vector<HookUse>& hooks);
    [[nodiscard]] Event carry_out(const ShedOrder& order, const std::vector<HookUse>& hooks);

    double budget_;
    FallbackSource& source_;
    Shedder shedder_;
    std::unordered_map<std::string, CostMeter> meters_;  ///< by hook
    CostMeter streams_;
    std::uint64_t stream_ns_ = 0;  ///< of this process, since the last review
    std::uint64_t cpu_ns_ = 0;     ///< of this process, at the last review
    std::uint64_t due_ns_;
};

}  // namespace drainwatch
