#pragma once

#include "drainwatch/sample.hpp"

#include <cstdint>
#include <deque>
#include <optional>

namespace drainwatch {

/// What a socket's queue did over the last seconds, look by look: the basis of its rates and of
/// the question whether a reader that does read loses ground. Bounded in time and number.
class History {
public:
    void add(const SocketSample& sample);

    /// Another look, that found all as it was at the last one.
    void repeat(std::uint64_t at_ns);

    /// Bytes per second over the last `window_ns`; nothing before there are two looks.
    [[nodiscard]] std::optional<double> arrival_rate(std::uint64_t window_ns) const;
    [[nodiscard]] std::optional<double> drain_rate(std::uint64_t window_ns) const;

    /// Smallest queue seen in the interval [now - from_ns, now - to_ns]; before the queue was
    /// first seen it was empty. Troughs, because a reader that works in batches makes a saw-tooth.
    /// Nothing if fewer looks than kLooksOfTrough fell into it, or if nobody knows, for it goes
    /// back to before the watch, when the queue was there already.
    [[nodiscard]] std::optional<double> trough(std::uint64_t from_ns, std::uint64_t to_ns) const;
    static constexpr int kLooksOfTrough = 3;

    /// The queue was empty, or there was none, before the first of the looks that are kept.
    [[nodiscard]] bool shows_beginning() const { return shows_beginning_; }

    /// How long ago the queue was first seen with unread data, without a gap since.
    [[nodiscard]] std::uint64_t length_ns() const;

    /// Memory (truesize) that each further byte of payload has cost lately, while nobody read and
    /// the kernel collapsed nothing; nothing where too little came to tell.
    [[nodiscard]] std::optional<double> memory_cost() const;

private:
    struct Point {
        std::uint64_t at_ns;
        std::uint32_t data_end;
        std::uint32_t copied_seq;
        std::uint32_t unread;
        std::int32_t rmem;
    };

    void add(const Point& point);
    [[nodiscard]] const Point* at_least_old(std::uint64_t window_ns) const;

    std::deque<Point> points_;
    bool shows_beginning_ = false;
};

}  // namespace drainwatch
