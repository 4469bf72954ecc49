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
#include <vector>

namespace drainwatch {
namespace {

/// A larger set is not looked through.
constexpr std::uint64_t kMostPolled = 4096;

/// So deep the kernel lets sets lie in sets (EP_MAX_NESTS).
constexpr int kDeepest = 5;

bool is_one_of(const std::vector<std::uint32_t>& fds, std::uint32_t fd)
{
    return std::find(fds.begin(), fds.end(), fd) != fds.end();
}

/// The numbers in a set are those of whoever put them there; the inodes are true.
bool is_it(const proc::EpollMember& member, const SocketInProcess& socket)
{
    return member.inode && socket.inode ? member.inode == socket.inode
                                        : is_one_of(socket.fds, member.fd);
}

/// One that fired once (EPOLLONESHOT) is in the set still, with no events.
std::optional<bool> in_epoll_set(std::uint32_t tid, std::uint32_t set,
                                 const SocketInProcess& socket, int depth)
{
    const auto members = proc::epoll_set(tid, set);
    if (!members || depth == 0) {
        return std::nullopt;
    }
    std::optional<bool> asks = false;
    for (const proc::EpollMember& member : *members) {
        if ((member.events & (EPOLLIN | EPOLLRDNORM)) == 0) {
            continue;
        }
        if (is_it(member, socket)) {
            return true;
        }
        if (proc::descriptor(tid, member.fd) == "anon_inode:[eventpoll]") {
            const auto inner = in_epoll_set(tid, member.fd, socket, depth - 1);
            if (inner != false) {
                asks = inner;
            }
        }
    }
    return asks;
}

/// poll(descriptors, number, ...)
std::optional<bool> in_array(std::uint32_t tid, const CallFacts& call,
                             const SocketInProcess& socket)
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
        return p.fd >= 0 && is_one_of(socket.fds, static_cast<std::uint32_t>(p.fd)) &&
               (p.events & (POLLIN | POLLRDNORM)) != 0;
    });
}

/// select(number, to_read, ...), a bit for each descriptor
std::optional<bool> in_bits(std::uint32_t tid, const CallFacts& call, const SocketInProcess& socket)
{
    constexpr std::uint64_t kByteBits = 8;
    for (const std::uint32_t fd : socket.fds) {
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

}  // namespace

std::optional<bool> polls(std::uint32_t tid, const CallFacts& call, const SocketInProcess& socket)
{
    if (socket.fds.empty()) {
        return std::nullopt;
    }
    if (const auto set = waiting_in(call).fd) {
        return in_epoll_set(tid, *set, socket, kDeepest);
    }
    const std::string name = system_call_name(call.number);
    return name.starts_with("poll") || name.starts_with("ppoll") ? in_array(tid, call, socket)
                                                                 : in_bits(tid, call, socket);
}

}  // namespace drainwatch
