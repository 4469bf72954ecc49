#include "bench/queue_samples.hpp"

#include <sstream>

namespace drainwatch::bench {

std::optional<std::uint64_t> receive_queue(const std::string& line)
{
    std::istringstream words(line);
    std::string state;
    std::uint64_t bytes = 0;
    if (words >> state >> bytes && state == "ESTAB") {
        return bytes;
    }
    return std::nullopt;
}

std::optional<std::size_t> first_stall(const std::vector<QueueSample>& samples,
                                       std::uint64_t for_ns)
{
    const QueueSample* since = nullptr;
    std::uint64_t before = 0;
    for (std::size_t i = 0; i < samples.size(); i++) {
        const QueueSample& sample = samples[i];
        if (sample.bytes == 0) {
            since = nullptr;
        } else if (since == nullptr || sample.bytes < before) {
            since = &sample;
        } else if (sample.at_ns - since->at_ns >= for_ns) {
            return i;
        }
        before = sample.bytes;
    }
    return std::nullopt;
}

}  // namespace drainwatch::bench
