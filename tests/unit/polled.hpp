#pragma once

#include "durations.hpp"
#include "kernel_socket.hpp"

#include <algorithm>
#include <cstdint>

namespace drainwatch::test {

constexpr std::uint64_t kWarnAfter = kSecond;

/// A socket that is looked at, with the second question that follows where there is unread data.
struct Polled {
    KernelSocket kernel;
    PolledSocket socket;

    explicit Polled(const KernelSocket& k, WindowRules rules = {})
        : kernel(k), socket(k.state(kBegin), rules, 1, 42, kBegin)
    {}

    SocketSample look(std::uint64_t at_ns)
    {
        socket.update(kernel.state(at_ns), kWarnAfter, at_ns);
        if (kernel.unread() > 0) {
            constexpr std::uint64_t kAnswerNs = 50'000;
            socket.update(kernel.state(at_ns + kAnswerNs), kWarnAfter, at_ns + kAnswerNs);
        }
        return socket.sample();
    }
};

inline std::uint64_t silent_ns(const SocketSample& s)
{
    return s.unread.empty() ? 0 : s.taken_ns - std::max(s.unread.front().at_ns, s.last_read_ns);
}

}  // namespace drainwatch::test
