#pragma once

#include "app/budget_keeper.hpp"
#include "app/cause_finder.hpp"
#include "app/fallback_source.hpp"
#include "app/line_queue.hpp"
#include "app/link_story.hpp"
#include "app/options.hpp"
#include "app/owners.hpp"
#include "detect/monitor.hpp"
#include "drainwatch/result.hpp"
#include "drainwatch/source.hpp"
#include "host/pace.hpp"
#include "tls/tracker.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace drainwatch {

/// One run of watching: takes what the source sees, lets the monitor judge it, prints.
class Session {
public:
    /// Attaches. `signals`: readable when the user wants the end.
    [[nodiscard]] static Result<std::unique_ptr<Session>> open(WatchOptions options, int signals);

    /// Called once, when everything is watched.
    std::function<void()> on_started;

    /// Until the duration is over, a signal comes, or nobody reads the output. Returns the exit
    /// code: 0, 1 or 2 by the worst that was printed. Fails if the first full look does, or if the
    /// output cannot be written, though someone would read it.
    [[nodiscard]] Result<int> run();

private:
    Session(WatchOptions options, std::unique_ptr<FallbackSource> source, int signals);

    void print(const Event& event);
    void print(const std::vector<Event>& events);
    void print(const ProcessNotice& notice);
    void print(const std::vector<Alert>& alerts);
    void print(const Alert& alert);
    void print(const tls::Fact& fact);
    void print(const std::vector<tls::Fact>& facts);
    void print_alert(const SocketNotice& notice, Side from);
    void print_summary();
    void print_losses();
    [[nodiscard]] Losses all_losses() const;

    void take_notices();
    void take(const SocketNotice& notice);
    void take(const StreamBytes& bytes);
    void look();
    void plan_look(std::uint64_t at_ns, std::uint64_t now_ns);
    void print_standing();
    void note_connection(const SocketSample& fresh, std::uint64_t at_ns);
    [[nodiscard]] std::uint64_t look_spacing_ns(bool nothing_unread) const;
    [[nodiscard]] std::vector<ProcessNotice> find_targets();
    [[nodiscard]] Result<void> heal();
    void keep_budget();
    /// Not if looks are to come less often.
    [[nodiscard]] bool wakes_early() const { return budget_.look_spacing() == 1; }
    /// Sleeps until something happens or is due. False when it is time to end.
    [[nodiscard]] bool wait();

    WatchOptions options_;
    std::unique_ptr<FallbackSource> source_;
    int signals_;
    LineQueue lines_;
    Owners owners_;
    std::optional<CauseFinder> causes_;  ///< nothing: nobody wants to know
    Monitor monitor_;
    tls::Tracker tls_;
    LinkStory links_;
    std::vector<std::string> capabilities_;  ///< kept while watching
    Pace finding_;                           ///< full looks
    Pace healing_;
    BudgetKeeper budget_;
    Severity worst_ = Severity::info;

    std::uint64_t started_ns_ = 0;
    std::uint64_t ends_ns_ = 0;
    std::uint64_t look_due_ns_ = 0;
    std::uint64_t standing_due_ns_ = 0;
    std::uint64_t new_target_due_ns_ = 0;  ///< not before this, even for a new one
    std::uint64_t soonest_healing_ns_ =
        0;  ///< not before this, even for a window that may be closed
    Losses losses_told_;
    std::uint64_t losses_due_ns_ = 0;
    std::uint64_t losses_spacing_ns_ = 0;
};

}  // namespace drainwatch
