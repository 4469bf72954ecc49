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
    double tail = 0;  // of the binomial distribution, up to and with `outside` heads
    std::size_t outside = 0;
    for (; outside < count / 2; outside++) {
        const double k = static_cast<double>(outside);
        tail += std::exp(std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1) -
                         n * std::log(2));
        if (tail > (1 - kConfidence) / 2) {
            break;
        }
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
