#include "profile/distribution.hpp"

#include <algorithm>
#include <cmath>

namespace drainwatch {

void Distribution::add(std::uint32_t bucket, const dw_bucket& values)
{
    if (values.count == 0) {
        return;
    }
    buckets_[bucket] += values.count;
    count_ += values.count;
    sum_ += static_cast<double>(values.sum);
    max_ = std::max(max_, std::uint64_t{values.max});
}

void Distribution::add(std::uint64_t value, std::uint64_t count)
{
    add(dw_bucket_of(value), {count, value * count, value});
}

void Distribution::add(const Distribution& other)
{
    for (const auto& [bucket, count] : other.buckets_) {
        buckets_[bucket] += count;
    }
    count_ += other.count_;
    sum_ += other.sum_;
    max_ = std::max(max_, other.max_);
}

void Distribution::set_exact(double mean, std::uint64_t max)
{
    sum_ = mean * static_cast<double>(count_);
    max_ = max;
}

double Distribution::mean() const
{
    return count_ != 0 ? sum_ / static_cast<double>(count_) : 0;
}

double Distribution::quantile(double q) const
{
    const double wanted = std::ceil(std::clamp(q, 0.0, 1.0) * static_cast<double>(count_));
    std::uint64_t seen = 0;
    for (const auto& [bucket, count] : buckets_) {
        seen += count;
        if (static_cast<double>(seen) >= wanted) {
            const double middle = static_cast<double>(dw_bucket_lower(bucket)) +
                                  static_cast<double>(dw_bucket_width(bucket) - 1) / 2;
            return std::min(middle, static_cast<double>(max_));
        }
    }
    return static_cast<double>(max_);
}

}  // namespace drainwatch
