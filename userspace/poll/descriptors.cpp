#include "poll/descriptors.hpp"

#include "host/proc.hpp"

#include <algorithm>

namespace drainwatch {

void Descriptors::walk(const std::vector<std::uint32_t>& pids)
{
    by_inode_.clear();
    for (const std::uint32_t pid : pids) {
        const auto found = proc::socket_descriptors(pid);
        if (!found) {
            continue;
        }
        for (const proc::SocketDescriptor& descriptor : *found) {
            by_inode_.emplace(descriptor.inode, Entry{pid, descriptor.fd});
        }
    }
}

std::optional<Descriptors::Entry> Descriptors::holder(std::uint64_t inode) const
{
    const auto found = by_inode_.find(inode);
    return found != by_inode_.end() ? std::optional(found->second) : std::nullopt;
}

bool Descriptors::still_held(std::uint64_t inode) const
{
    const auto [begin, end] = by_inode_.equal_range(inode);
    return std::any_of(begin, end, [&](const auto& entry) {
        return proc::socket_inode(entry.second.pid, entry.second.fd) == inode;
    });
}

std::vector<Holder> Descriptors::holders(
    const std::unordered_map<std::uint64_t, Cookie>& cookies) const
{
    std::vector<Holder> holders;
    for (const auto& [inode, cookie] : cookies) {
        const auto [begin, end] = by_inode_.equal_range(inode);
        std::for_each(begin, end, [&, inode = inode, cookie = cookie](const auto& entry) {
            holders.push_back({cookie, inode, entry.second.pid, entry.second.fd});
        });
    }
    return holders;
}

}  // namespace drainwatch
