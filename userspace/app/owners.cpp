#include "app/owners.hpp"

#include "host/clock.hpp"
#include "host/proc.hpp"

#include <algorithm>

namespace drainwatch {
namespace {

/// Walks are not taken more often than this, however many sockets ask.
constexpr std::uint64_t kWalkSpacingNs = 100'000'000;
constexpr std::uint64_t kWalkAllSpacingNs = 1'000'000'000;

/// Names of ended processes are kept for their last lines, but not for ever.
constexpr std::size_t kMostNames = 4096;

}  // namespace

std::optional<Process> Owners::process(std::uint32_t pid)
{
    if (pid == 0) {
        return std::nullopt;
    }
    if (auto comm = proc::comm(pid)) {
        if (names_.size() >= kMostNames) {
            names_.clear();
        }
        names_[pid] = *comm;
        return Process{std::move(*comm), pid};
    }
    const auto known = names_.find(pid);
    return known != names_.end() ? std::optional(Process{known->second, pid}) : std::nullopt;
}

std::optional<Holder> Owners::holder(const SocketSample& sample, const std::vector<Holder>& among)
{
    std::optional<Holder> best;
    for (const Holder& h : among) {
        if (h.cookie != sample.cookie || proc::socket_inode(h.pid, h.fd) != h.inode) {
            continue;
        }
        if (!best || h.pid == sample.reader_tgid) {
            best = h;
        }
        if (h.pid == sample.reader_tgid) {
            break;
        }
    }
    return best;
}

Owner Owners::of(const SocketSample& sample)
{
    auto held = holder(sample, source_.holders());
    const std::uint64_t now_ns = monotonic_ns();
    if (!held && now_ns - walked_ns_ >= kWalkSpacingNs) {
        source_.refresh_holders();
        walked_ns_ = monotonic_ns();
        held = holder(sample, source_.holders());
    }
    if (!held) {
        held = holder(sample, everyone_);
    }
    if (!held && now_ns - walked_all_ns_ >= kWalkAllSpacingNs) {
        everyone_ = source_.all_holders();
        walked_all_ns_ = monotonic_ns();
        held = holder(sample, everyone_);
    }
    if (held) {
        return {process(held->pid), held->fd};
    }
    auto reader = process(sample.reader_tgid);
    return {reader ? reader : process(sample.owner_tgid), std::nullopt};
}

}  // namespace drainwatch
