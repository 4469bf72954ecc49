#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace drainwatch {

/// A hook as the shedder sees it.
struct HookCost {
    unsigned need = 0;  ///< how much is lost without it, 1 the least; 0: it cannot go alone
    bool attached = false;
    std::uint64_t spent_ns = 0;  ///< CPU time since the review before
};

/// Looking into streams for what TLS says.
struct StreamCost {
    bool taken = false;  ///< their bytes
    std::uint64_t spent_ns =
        0;  ///< CPU time since the review before, of the hooks and this process
};

/// What was spent since the review before.
struct Spending {
    std::uint64_t user_ns = 0;  ///< CPU time of this process
    std::vector<HookCost> hooks;
    StreamCost streams;  ///< which is a part of the others
};

/// One thing to do without, or to do again.
struct ShedStep {
    enum class Kind {
        streams,       ///< take no bytes of streams
        hook,          ///< detach this hook
        slower_looks,  ///< look half as often
        everything,    ///< detach all, and poll
    };
    Kind kind{};
    std::size_t hook = 0;  ///< index in Spending::hooks

    bool operator==(const ShedStep&) const = default;
};

struct ShedOrder {
    ShedStep step;
    bool restore = false;  ///< take the step back
    double share = 0;      ///< of one core: what was measured
};

/// Decides what is to be done without, so that the tool keeps its budget, and when to do it again.
/// Past the budget for two periods, or twice past it, streams are not looked into any more, if that
/// would help; then the least needed hook goes that would help, and of two the more expensive one;
/// if this process is what costs, it looks less often; when nothing else is left, and that for two
/// periods, everything goes, if that would help.
/// Steps are taken back one by one, the last first, while less than half of the budget is spent;
/// what polls hooks again, whatever polling costs. What has to be shed again soon, or cannot be
/// done without, is tried again ever later. Pure: is told the time and the costs.
class Shedder {
public:
    /// `budget`: share of one core; 0: no limit. A source without hooks has only its looks to shed.
    Shedder(double budget, std::uint64_t now_ns);

    /// To be called a few times a second. The order is to be carried out before the next call.
    [[nodiscard]] std::optional<ShedOrder> review(std::uint64_t now_ns, const Spending& spending);

    /// The order that review() gave last could not be carried out: everything is as it was before.
    void take_back(const ShedOrder& order, std::uint64_t now_ns);

    /// What was spent up to now does not count, such as what carrying out an order has cost.
    void begin_anew(std::uint64_t now_ns);

    [[nodiscard]] bool sheds() const { return !shed_.empty(); }
    /// So many times as long as usual is the time between two looks: 1, 2, 4, ...
    [[nodiscard]] unsigned look_spacing() const { return look_spacing_; }

private:
    struct Account {
        std::uint64_t user_ns = 0;
        std::vector<HookCost> hooks;  ///< spent_ns: since the period began
        StreamCost streams;           ///< the same
        [[nodiscard]] std::uint64_t kernel_ns() const;
    };

    void add(const Spending& spending);
    [[nodiscard]] std::optional<ShedStep> next_step(double excess_ns, std::uint64_t now_ns) const;
    [[nodiscard]] std::optional<ShedStep> dearest_of_least_need(double excess_ns) const;
    ShedOrder shed(const ShedStep& step, double share, std::uint64_t now_ns);
    ShedOrder restore(double share, std::uint64_t now_ns);

    double budget_;
    std::uint64_t began_ns_;  ///< the period
    Account account_;
    unsigned periods_over_ = 0;
    std::vector<ShedStep> shed_;  ///< in this order
    unsigned look_spacing_ = 1;
    std::uint64_t patience_ns_;
    std::uint64_t changed_ns_ = 0;  ///< last step, either way
    std::uint64_t restored_ns_ = 0;
    std::uint64_t polling_since_ns_ = 0;  ///< 0: not polling
    std::uint64_t refused_ns_ = 0;        ///< when something could not be shed; 0: never
    std::uint64_t refusal_ns_ = 0;        ///< not again for so long
};

}  // namespace drainwatch
