#pragma once

#include <vector>

namespace drainwatch::bench {

/// A median, and the interval that holds the true one with a confidence of at least 95 %.
struct Estimate {
    double median = 0;
    double low = 0;
    double high = 0;
};

/// The interval goes from one of the sorted samples to another, by how often so many of them would
/// lie on one side of the median if each did so by the toss of a coin: it supposes nothing of how
/// they are spread. Fewer than six samples give their whole range, which is less sure. There must
/// be one at least.
[[nodiscard]] Estimate estimate_median(std::vector<double> samples);

/// A value of the samples that a share of `fraction`, 0 to 1, does not exceed. There must be one.
[[nodiscard]] double quantile(std::vector<double> samples, double fraction);

}  // namespace drainwatch::bench
