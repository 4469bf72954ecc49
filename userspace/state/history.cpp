#include "state/history.hpp"

#include "drainwatch/units.hpp"

#include <algorithm>
#include <limits>

namespace drainwatch {
namespace {

constexpr std::uint64_t kLongestNs = 4'000'000'000;  // four of the longest windows asked for
constexpr std::uint64_t kSpacingNs = 2'000'000;      // closer looks add nothing
constexpr std::size_t kMostPoints = kLongestNs / kSpacingNs;

/// What came must be this part of the queue, at least, to tell what it cost.
constexpr std::uint32_t kTellingShare = 4;

}  // namespace

void History::add(const SocketSample& sample)
{
    if (points_.empty()) {
        shows_beginning_ =
            sample.is_new || !sample.age_is_lower_bound || sample.unread_bytes() == 0;
    }
    add(Point{sample.taken_ns, sample.data_end, sample.window.copied_seq, sample.unread_bytes(),
              sample.window.rmem});
}

void History::repeat(std::uint64_t at_ns)
{
    if (!points_.empty()) {
        Point point = points_.back();
        point.at_ns = at_ns;
        add(point);
    }
}

void History::add(const Point& point)
{
    if (point.unread == 0) {
        points_.clear();
        shows_beginning_ = true;
    }
    if (points_.size() > 1 && point.at_ns - points_[points_.size() - 2].at_ns < kSpacingNs) {
        points_.back() = point;
    } else {
        points_.push_back(point);
    }
    while (points_.size() > kMostPoints || point.at_ns - points_.front().at_ns > kLongestNs) {
        points_.pop_front();
        shows_beginning_ = false;
    }
}

const History::Point* History::at_least_old(std::uint64_t window_ns) const
{
    if (points_.size() < 2) {
        return nullptr;
    }
    const std::uint64_t now = points_.back().at_ns;
    const auto younger = std::find_if(points_.begin(), points_.end(),
                                      [&](const Point& p) { return now - p.at_ns < window_ns; });
    if (younger == points_.begin()) {
        return &points_.front();
    }
    return &*std::prev(younger);
}

std::optional<double> History::arrival_rate(std::uint64_t window_ns) const
{
    const Point* base = at_least_old(window_ns);
    if (base == nullptr || points_.back().at_ns == base->at_ns) {
        return std::nullopt;
    }
    if (dw_seq_before(points_.back().data_end, base->data_end)) {
        return 0;  // a byte that turned out to be a FIN
    }
    return static_cast<double>(points_.back().data_end - base->data_end) * kNsPerS /
           static_cast<double>(points_.back().at_ns - base->at_ns);
}

std::optional<double> History::drain_rate(std::uint64_t window_ns) const
{
    const Point* base = at_least_old(window_ns);
    if (base == nullptr || points_.back().at_ns == base->at_ns) {
        return std::nullopt;
    }
    return static_cast<double>(points_.back().copied_seq - base->copied_seq) * kNsPerS /
           static_cast<double>(points_.back().at_ns - base->at_ns);
}

std::optional<double> History::trough(std::uint64_t from_ns, std::uint64_t to_ns) const
{
    if (points_.empty() || length_ns() < from_ns) {
        return shows_beginning_ ? std::optional<double>(0) : std::nullopt;
    }
    const std::uint64_t now = points_.back().at_ns;
    auto least = std::numeric_limits<std::uint32_t>::max();
    int looks = 0;
    for (auto p = points_.rbegin(); p != points_.rend() && now - p->at_ns <= from_ns; ++p) {
        if (now - p->at_ns >= to_ns) {
            least = std::min(least, p->unread);
            looks++;
        }
    }
    return looks < kLooksOfTrough ? std::nullopt : std::optional<double>(least);
}

std::uint64_t History::length_ns() const
{
    return points_.empty() ? 0 : points_.back().at_ns - points_.front().at_ns;
}

std::optional<double> History::memory_cost() const
{
    if (points_.empty()) {
        return std::nullopt;
    }
    const Point& last = points_.back();
    const Point* first = &last;
    for (auto p = points_.rbegin(); p != points_.rend(); ++p) {
        if (p->copied_seq != last.copied_seq || p->rmem > first->rmem) {
            break;
        }
        first = &*p;
    }
    const std::uint32_t came = last.unread - first->unread;
    if (came == 0 || came < last.unread / kTellingShare) {
        return std::nullopt;
    }
    return static_cast<double>(last.rmem - first->rmem) / came;
}

}  // namespace drainwatch
