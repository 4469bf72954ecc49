#include "app/poll_members.hpp"

#include "cause/waiting.hpp"
#include "host/threads.hpp"
#include "profile/system_calls.hpp"

#include <poll.h>
#include <algorithm>
#include <climits>
#include <cstring>
#include <string>
#include <vector>

namespace drainwatch {
namespace {

/// A larger set is not looked through.
constexpr std::uint64_t kMostPolled = 4096;

/// poll(descriptors, number, ...)
std::optional<bool> in_array(std::uint32_t pid, const CallFacts& call, std::uint32_t fd)
{
    const std::uint64_t number = call.arguments[1];
    if (number > kMostPolled) {
        return std::nullopt;
    }
    const auto bytes = proc::memory(pid, call.arguments[0], number * sizeof(pollfd));
    if (!bytes) {
        return std::nullopt;
    }
    std::vector<pollfd> polled(number);
    std::memcpy(polled.data(), bytes->data(), bytes->size());
    return std::any_of(polled.begin(), polled.end(), [&](const pollfd& p) {
        return p.fd == static_cast<int>(fd) && (p.events & (POLLIN | POLLRDNORM)) != 0;
    });
}

/// select(number, to_read, ...), a bit for each descriptor
std::optional<bool> in_bits(std::uint32_t pid, const CallFacts& call, std::uint32_t fd)
{
    constexpr std::uint64_t kWordBits = sizeof(unsigned long) * CHAR_BIT;
    if (fd >= call.arguments[0] || call.arguments[1] == 0) {
        return false;
    }
    const auto bytes = proc::memory(pid, call.arguments[1] + fd / kWordBits * sizeof(unsigned long),
                                    sizeof(unsigned long));
    if (!bytes) {
        return std::nullopt;
    }
    unsigned long word = 0;
    std::memcpy(&word, bytes->data(), sizeof(word));
    return (word >> fd % kWordBits & 1) != 0;
}

}  // namespace

std::optional<bool> polls(std::uint32_t pid, const CallFacts& call, std::uint32_t fd)
{
    if (const auto set = waiting_in(call).fd) {
        const auto members = proc::epoll_set(pid, *set);
        return members ? std::optional(std::find(members->begin(), members->end(), fd) !=
                                       members->end())
                       : std::nullopt;
    }
    const std::string name = system_call_name(call.number);
    return name == "poll" || name == "ppoll" ? in_array(pid, call, fd) : in_bits(pid, call, fd);
}

}  // namespace drainwatch
