#include "cause/waiting.hpp"

#include "profile/system_calls.hpp"

#include <algorithm>
#include <array>

namespace drainwatch {
namespace {

constexpr int kNone = -1;

struct Row {
    std::string_view name;
    Purpose purpose;
    int descriptor;  ///< which argument it is
};

constexpr std::array kCalls{
    Row{"read", Purpose::read, 0},
    Row{"readv", Purpose::read, 0},
    Row{"pread64", Purpose::read, 0},
    Row{"preadv", Purpose::read, 0},
    Row{"recvfrom", Purpose::read, 0},
    Row{"recvmsg", Purpose::read, 0},
    Row{"recvmmsg", Purpose::read, 0},
    Row{"recvmmsg_time64", Purpose::read, 0},
    Row{"write", Purpose::write, 0},
    Row{"writev", Purpose::write, 0},
    Row{"pwrite64", Purpose::write, 0},
    Row{"pwritev", Purpose::write, 0},
    Row{"sendto", Purpose::write, 0},
    Row{"sendmsg", Purpose::write, 0},
    Row{"sendmmsg", Purpose::write, 0},
    Row{"sendfile", Purpose::write, 0},
    Row{"fsync", Purpose::write, 0},
    Row{"fdatasync", Purpose::write, 0},
    Row{"poll", Purpose::poll, kNone},
    Row{"ppoll", Purpose::poll, kNone},
    Row{"ppoll_time64", Purpose::poll, kNone},
    Row{"select", Purpose::poll, kNone},
    Row{"_newselect", Purpose::poll, kNone},
    Row{"pselect6", Purpose::poll, kNone},
    Row{"pselect6_time64", Purpose::poll, kNone},
    Row{"epoll_wait", Purpose::poll, 0},
    Row{"epoll_pwait", Purpose::poll, 0},
    Row{"epoll_pwait2", Purpose::poll, 0},
    Row{"nanosleep", Purpose::sleep, kNone},
    Row{"clock_nanosleep", Purpose::sleep, kNone},
    Row{"clock_nanosleep_time64", Purpose::sleep, kNone},
    Row{"pause", Purpose::sleep, kNone},
    Row{"futex", Purpose::lock, kNone},
    Row{"futex_time64", Purpose::lock, kNone},
    Row{"futex_wait", Purpose::lock, kNone},
    Row{"futex_waitv", Purpose::lock, kNone},
    Row{"semop", Purpose::lock, kNone},
    Row{"semtimedop", Purpose::lock, kNone},
    Row{"flock", Purpose::file_lock, 0},
    Row{"fcntl", Purpose::file_lock, 0},  // of its commands, only those for locks wait
    Row{"fcntl64", Purpose::file_lock, 0},
    Row{"accept", Purpose::accept, 0},
    Row{"accept4", Purpose::accept, 0},
    Row{"connect", Purpose::connect, 0},
    Row{"wait4", Purpose::child, kNone},
    Row{"waitpid", Purpose::child, kNone},
    Row{"waitid", Purpose::child, kNone},
};

}  // namespace

WaitingCall waiting_in(const CallFacts& call)
{
    // "read (32-bit)"
    const std::string full_name = system_call_name(call.number);
    const std::string_view name = std::string_view(full_name).substr(0, full_name.find(' '));
    const auto* row =
        std::find_if(kCalls.begin(), kCalls.end(), [&](const Row& r) { return r.name == name; });
    if (row == kCalls.end()) {
        return {};
    }
    WaitingCall waiting{row->purpose, std::nullopt};
    if (row->descriptor != kNone) {
        waiting.fd = static_cast<std::uint32_t>(
            call.arguments.at(static_cast<std::size_t>(row->descriptor)));
    }
    return waiting;
}

bool is_poll(std::int32_t call)
{
    return waiting_in({call, {}}).purpose == Purpose::poll;
}

}  // namespace drainwatch
