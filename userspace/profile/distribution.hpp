#pragma once

#include "drainwatch/histogram.h"
#include "drainwatch/profile_abi.h"

#include <cstdint>
#include <map>

namespace drainwatch {

/// How often values of each magnitude came, by the buckets of drainwatch/histogram.h.
class Distribution {
public:
    /// `count` values that fall into this bucket, with their sum and the largest of them.
    void add(std::uint32_t bucket, const dw_bucket& values);
    void add(std::uint64_t value, std::uint64_t count = 1);
    void add(const Distribution& other);

    /// What buckets alone do not tell.
    void set_exact(double mean, std::uint64_t max);

    [[nodiscard]] std::uint64_t count() const { return count_; }
    [[nodiscard]] double sum() const { return sum_; }
    [[nodiscard]] std::uint64_t max() const { return max_; }
    /// Exact; 0 of nothing.
    [[nodiscard]] double mean() const;
    /// The value that a share of `q`, 0 to 1, lies at or below: within 1.6 %. 0 of nothing.
    [[nodiscard]] double quantile(double q) const;

    /// Count by bucket, none of them empty.
    [[nodiscard]] const std::map<std::uint32_t, std::uint64_t>& buckets() const { return buckets_; }

private:
    std::map<std::uint32_t, std::uint64_t> buckets_;
    std::uint64_t count_ = 0;
    double sum_ = 0;
    std::uint64_t max_ = 0;
};

}  // namespace drainwatch
