#include "bench/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace drainwatch::bench {
namespace {

constexpr double kConfidence = 0.95;

/// How many of the sorted samples may be left out at each end.
std::size_t ranks_outside(std::size_t count)
{
    const double n = static_cast<double>(count);
    double heads = std::pow(0.5, n);  // the chance of `outside` heads
    double tail = heads;              // of so many at most
    std::size_t outside = 0;
    while (outside < count / 2 && tail <= (1 - kConfidence) / 2) {
        const double k = static_cast<double>(outside);
        heads *= (n - k) / (k + 1);
        tail += heads;
        outside++;
    }
    return outside > 0 ? outside - 1 : 0;
}

}  // namespace

Estimate estimate_median(std::vector<double> samples)
{
    std::sort(samples.begin(), samples.end());
    const std::size_t count = samples.size();
    const std::size_t outside = ranks_outside(count);
    return {(samples[(count - 1) / 2] + samples[count / 2]) / 2, samples[outside],
            samples[count - 1 - outside]};
}

double quantile(std::vector<double> samples, double fraction)
{
    std::sort(samples.begin(), samples.end());
    const double rank = std::ceil(fraction * static_cast<double>(samples.size()));
    return samples[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
}

}  // namespace drainwatch::bench
