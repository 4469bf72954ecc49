#include "bpf/iterators.hpp"

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

struct LinkDeleter {
    void operator()(bpf_link* link) const { bpf_link__destroy(link); }
};
using Link = std::unique_ptr<bpf_link, LinkDeleter>;

Result<Link> attach(bpf_program* program, const char* name, bpf_iter_link_info* limits)
{
    bpf_iter_attach_opts options{};
    options.sz = sizeof(options);
    options.link_info = limits;
    options.link_info_len = limits != nullptr ? sizeof(*limits) : 0;
    Link link(bpf_program__attach_iter(program, &options));
    if (!link) {
        return tl::unexpected(system_error("attach iterator", name, errno));
    }
    return link;
}

/// Runs the iterator to its end and returns what it wrote.
Result<std::vector<std::byte>> run(const bpf_link& link, const char* name)
{
    const File file(bpf_iter_create(bpf_link__fd(&link)));
    if (!file) {
        return tl::unexpected(system_error("open iterator", name, errno));
    }
    std::vector<std::byte> output;
    std::array<std::byte, std::size_t{64} << 10> chunk;
    while (true) {
        const ssize_t length = read(file.get(), chunk.data(), chunk.size());
        if (length > 0) {
            output.insert(output.end(), chunk.begin(), chunk.begin() + length);
        } else if (length == 0) {
            return output;
        } else if (errno != EINTR && errno != EAGAIN) {
            return tl::unexpected(system_error("read iterator", name, errno));
        }
    }
}

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
        const auto link = attach(skeleton.progs.find_descriptors, kName, &limits);
        if (!link) {
            // Before 6.1 there is no limit by pid; nor is there one for a process that is gone.
            return find_descriptors(skeleton, {});
        }
        const auto output = run(**link, kName);
        if (output) {
            const auto found = decode(*output);
            descriptors.insert(descriptors.end(), found.begin(), found.end());
        }
    }
    if (!pids.empty()) {
        return descriptors;
    }
    const auto link = attach(skeleton.progs.find_descriptors, kName, nullptr);
    if (!link) {
        return tl::unexpected(link.error());
    }
    return run(**link, kName).map(decode);
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
    const auto link = attach(skeleton.progs.find_connections, kName, nullptr);
    if (!link) {
        return tl::unexpected(link.error());
    }
    Result<void> result;
    const auto look = [&] {
        const auto output = run(**link, kName);
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

Result<void> heal_slots(drainwatch_bpf& skeleton)
{
    constexpr auto kName = "bpf_sk_storage_map";
    bpf_iter_link_info limits{};
    limits.map.map_fd = static_cast<__u32>(bpf_map__fd(skeleton.maps.sockets));
    const auto link = attach(skeleton.progs.heal, kName, &limits);
    if (!link) {
        return tl::unexpected(link.error());
    }
    const auto output = run(**link, kName);
    if (!output) {
        return tl::unexpected(output.error());
    }
    return {};
}

}  // namespace drainwatch
