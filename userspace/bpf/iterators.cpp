#include "bpf/iterators.hpp"

#include "bpf/iterator_run.hpp"
#include "drainwatch.skel.h"
#include "host/file.hpp"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <thread>

namespace drainwatch {
namespace {

std::vector<dw_descriptor> decode(const std::vector<std::byte>& bytes)
{
    std::vector<dw_descriptor> found(bytes.size() / sizeof(dw_descriptor));
    std::memcpy(found.data(), bytes.data(), found.size() * sizeof(dw_descriptor));
    return found;
}

}  // namespace

Result<std::vector<dw_descriptor>> find_descriptors(drainwatch_bpf& skeleton,
                                                    const std::vector<std::uint32_t>& pids)
{
    constexpr auto kName = "task_file";
    std::vector<dw_descriptor> descriptors;
    for (const std::uint32_t pid : pids) {
        bpf_iter_link_info limits{};
        limits.task.pid = pid;
        const auto link = attach_iterator(skeleton.progs.find_descriptors, kName, &limits);
        if (!link) {
            // Before 6.1 there is no limit by pid; nor is there one for a process that is gone.
            return find_descriptors(skeleton, {});
        }
        const auto output = run_iterator(**link, kName);
        if (output) {
            const auto found = decode(*output);
            descriptors.insert(descriptors.end(), found.begin(), found.end());
        }
    }
    if (!pids.empty()) {
        return descriptors;
    }
    const auto link = attach_iterator(skeleton.progs.find_descriptors, kName, nullptr);
    if (!link) {
        return tl::unexpected(link.error());
    }
    return run_iterator(**link, kName).map(decode);
}

Result<std::vector<dw_descriptor>> find_all_holders(drainwatch_bpf& skeleton)
{
    skeleton.bss->report_everyone = 1;
    auto found = find_descriptors(skeleton, {});
    skeleton.bss->report_everyone = 0;
    return found;
}

Result<void> find_connections(drainwatch_bpf& skeleton, const std::string& netns_path)
{
    constexpr auto kName = "tcp";
    const auto link = attach_iterator(skeleton.progs.find_connections, kName, nullptr);
    if (!link) {
        return tl::unexpected(link.error());
    }
    Result<void> result;
    const auto look = [&] {
        const auto output = run_iterator(**link, kName);
        if (!output) {
            result = tl::unexpected(output.error());
        }
    };
    if (netns_path.empty()) {
        look();
        return result;
    }
    // The iterator sees the network namespace of the thread that opens it.
    std::thread([&] {
        const File netns(open(netns_path.c_str(), O_RDONLY | O_CLOEXEC));
        if (!netns || setns(netns.get(), CLONE_NEWNET) != 0) {
            result = tl::unexpected(system_error("enter", netns_path, errno));
            return;
        }
        look();
    }).join();
    return result;
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
