#pragma once

#include "detect/finding.hpp"

#include <cstdint>
#include <optional>

namespace drainwatch {

/// One socket's trouble from its first warning to recovery: one raise for each severity, one
/// clear. Whoever owns it says what time it is.
class Episode {
public:
    explicit Episode(std::uint64_t number) : number_(number) {}

    [[nodiscard]] std::uint64_t number() const { return number_; }

    [[nodiscard]] bool is_critical() const { return raised_ == Severity::critical; }

    /// Is this finding worse than what was raised before? Then it is to be raised.
    [[nodiscard]] bool raise(const Finding& finding, std::uint64_t now_ns);

    /// A zero window was announced. True if it is to be reported: the first, and then one in
    /// ten seconds at most; a reader of single bytes may close the window many times a second.
    [[nodiscard]] bool closed(std::uint64_t at_ns);

    /// The window has stayed closed since an announcement that was not reported, which is due now:
    /// when that was.
    [[nodiscard]] std::optional<std::uint64_t> late_report(std::uint64_t now_ns);
    [[nodiscard]] bool owes_report() const { return unreported_ns_ != 0; }

    /// The window opened again. True if the closing was reported.
    [[nodiscard]] bool reopened();

    /// True once, when the calm has lasted: shortly if the queue is empty, longer if the reader
    /// only works on it.
    [[nodiscard]] bool over(const Reading& reading, const Limits& limits);

    void note_queue(std::uint32_t bytes);

    [[nodiscard]] std::uint32_t max_queue_bytes() const { return max_queue_bytes_; }
    [[nodiscard]] std::uint32_t zero_windows() const { return zero_windows_; }

    /// From the first warning to the first zero window; nothing if one of them did not come.
    [[nodiscard]] std::optional<std::uint64_t> lead_ns() const;

    /// From the beginning to the calm that ended it, or to `now_ns`.
    [[nodiscard]] std::uint64_t duration_ns(std::uint64_t now_ns) const;

private:
    std::uint64_t number_;
    std::optional<Severity> raised_;
    std::uint64_t began_ns_ = 0;
    std::uint64_t first_warning_ns_ = 0;
    std::uint64_t first_zero_ns_ = 0;
    std::uint64_t zero_reported_ns_ = 0;
    std::uint64_t unreported_ns_ = 0;  ///< when it closed, if that was not reported; 0: it was
    std::uint64_t calm_since_ns_ = 0;
    std::uint32_t max_queue_bytes_ = 0;
    std::uint32_t zero_windows_ = 0;
    bool reopening_is_due_ = false;
};

}  // namespace drainwatch
