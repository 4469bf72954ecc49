#include "tls/reassembly.hpp"

#include <limits>

namespace drainwatch::tls {
namespace {

/// Nobody looks at a stream that far in.
constexpr std::uint32_t kFarthest = std::numeric_limits<std::uint32_t>::max() / 2;

}  // namespace

void Reassembly::keep(std::uint32_t offset, Bytes bytes)
{
    const auto known = pending_.find(offset);
    if (known != pending_.end() && known->second.size() >= bytes.size()) {
        return;
    }
    if (known != pending_.end()) {
        pending_bytes_ -= known->second.size();
        pending_.erase(known);
    }
    if (pending_.size() >= kMostPendingPieces ||
        bytes.size() > kMostPendingBytes - pending_bytes_) {
        return;
    }
    pending_.emplace(offset, std::vector<std::uint8_t>(bytes.begin(), bytes.end()));
    pending_bytes_ += bytes.size();
}

std::vector<std::uint8_t> Reassembly::add(std::uint32_t offset, Bytes bytes)
{
    std::vector<std::uint8_t> in_order;
    if (bytes.empty() || bytes.size() > kFarthest || offset > kFarthest) {
        return in_order;
    }
    const auto deliver = [&](std::uint32_t from, Bytes piece) {
        const std::uint32_t known = next_ - from;
        if (known < piece.size()) {
            in_order.insert(in_order.end(), piece.begin() + known, piece.end());
            next_ = from + static_cast<std::uint32_t>(piece.size());
        }
    };
    if (offset > next_) {
        keep(offset, bytes);
        return in_order;
    }
    deliver(offset, bytes);
    while (!pending_.empty() && pending_.begin()->first <= next_) {
        const auto first = pending_.begin();
        deliver(first->first, first->second);
        pending_bytes_ -= first->second.size();
        pending_.erase(first);
    }
    return in_order;
}

}  // namespace drainwatch::tls
