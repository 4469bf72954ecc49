#include "app/poll_members.hpp"

#include "cause/waiting.hpp"
#include "host/threads.hpp"
#include "profile/system_calls.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>

namespace drainwatch {
namespace {

/// A larger set is not looked through.
constexpr std::uint64_t kMostPolled = 4096;

/// So deep the kernel lets sets lie in sets (EP_MAX_NESTS).
constexpr int kDeepest = 5;

}  // namespace

bool PollMembers::is_mine(std::uint32_t fd) const
{
    return std::find(socket_.fds.begin(), socket_.fds.end(), fd) != socket_.fds.end();
}

/// The numbers in a set are those of whoever put them there; the inodes are true. One that fired
/// once (EPOLLONESHOT) is in the set still, with no events.
std::optional<bool> PollMembers::in_epoll_set(std::uint32_t tid, std::uint32_t set, int depth)
{
    if (const auto known = sets_.find(set); known != sets_.end()) {
        return known->second;
    }
    auto members = depth > 0 ? proc::epoll_set(tid, set, kMostPolled) : std::nullopt;
    if (!members) {
        return sets_[set] = std::nullopt;
    }
    std::erase_if(*members, [](const proc::EpollMember& member) {
        return (member.events & (EPOLLIN | EPOLLRDNORM)) == 0;
    });
    const bool is_there =
        std::any_of(members->begin(), members->end(), [&](const proc::EpollMember& member) {
            return member.inode && socket_.inode ? member.inode == socket_.inode
                                                 : is_mine(member.fd);
        });
    std::optional<bool> asked = is_there;
    for (auto member = members->begin(); asked == false && member != members->end(); ++member) {
        if (proc::descriptor(tid, member->fd) == "anon_inode:[eventpoll]") {
            asked = in_epoll_set(tid, member->fd, depth - 1);
        }
    }
    return sets_[set] = asked;
}

/// poll(descriptors, number, ...)
std::optional<bool> PollMembers::in_array(std::uint32_t tid, const CallFacts& call) const
{
    const std::uint64_t number = call.arguments[1];
    if (number > kMostPolled) {
        return std::nullopt;
    }
    const auto bytes = proc::memory(tid, call.arguments[0], number * sizeof(pollfd));
    if (!bytes) {
        return std::nullopt;
    }
    std::vector<pollfd> polled(number);
    std::memcpy(polled.data(), bytes->data(), bytes->size());
    return std::any_of(polled.begin(), polled.end(), [&](const pollfd& p) {
        return p.fd >= 0 && is_mine(static_cast<std::uint32_t>(p.fd)) &&
               (p.events & (POLLIN | POLLRDNORM)) != 0;
    });
}

/// select(number, to_read, ...), a bit for each descriptor
std::optional<bool> PollMembers::in_bits(std::uint32_t tid, const CallFacts& call) const
{
    constexpr std::uint64_t kByteBits = 8;
    for (const std::uint32_t fd : socket_.fds) {
        if (fd >= call.arguments[0] || call.arguments[1] == 0) {
            continue;
        }
        const auto byte = proc::memory(tid, call.arguments[1] + fd / kByteBits, 1);
        if (!byte) {
            return std::nullopt;
        }
        if ((std::to_integer<unsigned>(byte->front()) >> fd % kByteBits & 1U) != 0) {
            return true;
        }
    }
    return false;
}

std::optional<bool> PollMembers::asked_for(std::uint32_t tid, const CallFacts& call)
{
    if (socket_.fds.empty()) {
        return std::nullopt;
    }
    if (const auto set = waiting_in(call).fd) {
        return in_epoll_set(tid, *set, kDeepest);
    }
    const std::string name = system_call_name(call.number);
    return name.starts_with("poll") || name.starts_with("ppoll") ? in_array(tid, call)
                                                                 : in_bits(tid, call);
}

}  // namespace drainwatch
