#include "bpf/iterators.hpp"

#include "bpf/iterator_run.hpp"
#include "drainwatch.skel.h"
#include "host/net_namespaces.hpp"
#include "host/side_threads.hpp"

#include <bpf/bpf.h>
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <span>
#include <utility>

namespace drainwatch {
namespace {

using namespace std::chrono_literals;

/// Appends records as they come, whole or in parts; what is left of one as a walk ends is dropped.
class DescriptorReader {
public:
    explicit DescriptorReader(std::vector<dw_descriptor>& into) : into_(into) { into_.clear(); }

    Result<void> read(const bpf_link& link, const char* name)
    {
        auto ran =
            run_iterator(link, name, [this](std::span<const std::byte> piece) { take(piece); });
        into_.resize(bytes_ / kSize);
        bytes_ = into_.size() * kSize;
        return ran;
    }

private:
    static constexpr std::size_t kSize = sizeof(dw_descriptor);

    void take(std::span<const std::byte> piece)
    {
        into_.resize((bytes_ + piece.size() + kSize - 1) / kSize);
        std::memcpy(reinterpret_cast<std::byte*>(into_.data()) + bytes_, piece.data(),
                    piece.size());
        bytes_ += piece.size();
    }

    std::vector<dw_descriptor>& into_;
    std::size_t bytes_ = 0;
};

constexpr auto kDescriptors = "task_file";

/// Fails if the kernel cannot be told to walk through this process alone.
Result<void> walk_process(drainwatch_bpf& skeleton, std::uint32_t pid, DescriptorReader& reader)
{
    bpf_iter_link_info limits{};
    limits.task.pid = pid;
    const auto link = attach_iterator(skeleton.progs.find_descriptors, kDescriptors, &limits);
    if (!link) {
        return tl::unexpected(link.error());
    }
    return reader.read(**link, kDescriptors);
}

Result<void> walk_everyone(drainwatch_bpf& skeleton, std::vector<dw_descriptor>& found)
{
    DescriptorReader reader(found);
    const auto link = attach_iterator(skeleton.progs.find_descriptors, kDescriptors, nullptr);
    if (!link) {
        return tl::unexpected(link.error());
    }
    return reader.read(**link, kDescriptors);
}

constexpr auto kConnections = "tcp";

/// A hundred thousand connections take a tenth of it.
constexpr auto kPatience = 1s;

/// In a thread of its own: the iterator sees the network namespace of the thread that opens it.
Result<void> walk_connections(const bpf_link& link, const std::string& netns_path)
{
    if (!netns_path.empty()) {
        if (auto entered = enter_net_namespace(netns_path); !entered) {
            return entered;
        }
    }
    return run_iterator(link, kConnections, [](std::span<const std::byte> /*nothing*/) {});
}

}  // namespace

Result<void> find_descriptors(drainwatch_bpf& skeleton, const std::vector<std::uint32_t>& pids,
                              std::vector<dw_descriptor>& found)
{
    DescriptorReader reader(found);
    const bool by_pid =
        !pids.empty() && std::all_of(pids.begin(), pids.end(), [&](std::uint32_t pid) {
            return walk_process(skeleton, pid, reader).has_value();
        });
    // Before 6.1 there is no limit by pid; nor is there one for a process that is gone.
    return by_pid ? Result<void>() : walk_everyone(skeleton, found);
}

Result<void> find_all_holders(drainwatch_bpf& skeleton, std::vector<dw_descriptor>& found)
{
    skeleton.bss->report_everyone = 1;
    auto walked = walk_everyone(skeleton, found);
    skeleton.bss->report_everyone = 0;
    return walked;
}

Result<ConnectionFinder::Walk> ConnectionFinder::begin_walk(const std::string& netns_path)
{
    auto link = attach_iterator(skeleton_.progs.find_connections, kConnections, nullptr);
    if (!link) {
        return tl::unexpected(link.error());
    }
    return begin_task(
        [link = std::move(*link), netns_path] { return walk_connections(*link, netns_path); });
}

Result<void> ConnectionFinder::find(const std::string& netns_path)
{
    auto walk = under_way_.find(netns_path);
    if (walk == under_way_.end()) {
        auto begun = begin_walk(netns_path);
        if (!begun) {
            return tl::unexpected(begun.error());
        }
        walk = under_way_.emplace(netns_path, std::move(*begun)).first;
        (void)walk->second.wait_for(kPatience);
    }
    if (walk->second.wait_for(0s) == std::future_status::timeout) {
        return fail("walk through connections: it waits for the lock of a socket");
    }
    auto walked = walk->second.get();
    under_way_.erase(walk);
    return walked;
}

namespace {

constexpr auto kHealing = "bpf_sk_storage_map";

Result<Link> attach_healing(drainwatch_bpf& skeleton)
{
    bpf_iter_link_info limits{};
    limits.map.map_fd = static_cast<__u32>(bpf_map__fd(skeleton.maps.sockets));
    return attach_iterator(skeleton.progs.heal, kHealing, &limits);
}

}  // namespace

bool can_heal_slots(drainwatch_bpf& skeleton)
{
    return attach_healing(skeleton).has_value();
}

Result<void> heal_slots(drainwatch_bpf& skeleton)
{
    const auto link = attach_healing(skeleton);
    if (!link) {
        return tl::unexpected(link.error());
    }
    const auto output = run_iterator(**link, kHealing);
    if (!output) {
        return tl::unexpected(output.error());
    }
    return {};
}

}  // namespace drainwatch
