#pragma once

#include "drainwatch/sample.hpp"
#include "durations.hpp"

#include <sys/socket.h>
#include <cstdint>

namespace drainwatch::test {

/// A socket as a source sees it, driven by hand. Its queue forgets no arrival, and the test owns
/// the clock. Its buffer is so large that no zero window is near, unless a test says otherwise.
class Link {
public:
    Link()
    {
        s_.cookie = Cookie{77};
        s_.local = {AF_INET, {127, 0, 0, 1}, 8765};
        s_.remote = {AF_INET, {127, 0, 0, 1}, 40000};
        s_.netns = 4026531840;
        s_.window.rcv_nxt = s_.window.copied_seq = s_.window.rcv_wup = 1000;
        s_.data_end = 1000;
        s_.window.window_clamp = 1U << 30;
        s_.window.rcv_ssthresh = 64U << 20;
        s_.window.rcvbuf = 128 << 20;
        s_.window.rcv_wnd = 64U << 20;
        s_.window.rcv_mss = 1460;
        s_.window.rcv_wscale = 7;
        s_.window.scaling_ratio = 128;
        s_.window.flags = DW_SCALING_RATIO | DW_RCVBUF_LOCKED;
    }

    void arrive(std::uint32_t bytes, std::uint64_t at_ns)
    {
        s_.data_end += bytes;
        s_.window.rcv_nxt += bytes;
        s_.unread.push_back({s_.data_end, at_ns});
    }

    void read(std::uint32_t bytes, std::uint64_t at_ns)
    {
        s_.window.copied_seq += bytes;
        while (!s_.unread.empty() &&
               s_.unread.front().end_seq - s_.window.copied_seq - 1 > 1U << 30) {
            s_.unread.erase(s_.unread.begin());
        }
        s_.last_read_ns = at_ns;
    }

    void read_all(std::uint64_t at_ns) { read(s_.unread_bytes(), at_ns); }

    /// The kernel announces zero, or an open window again.
    void close_window(std::uint64_t at_ns)
    {
        s_.closed = true;
        s_.zero_ns = at_ns;
        s_.zero_count++;
    }

    void open_window(std::uint64_t at_ns)
    {
        s_.closed = false;
        s_.reopened_ns = at_ns;
    }

    [[nodiscard]] SocketSample sample(std::uint64_t now_ns) const
    {
        SocketSample s = s_;
        s.taken_ns = now_ns;
        return s;
    }

    [[nodiscard]] SocketNotice notice(SocketNotice::Kind kind, std::uint64_t at_ns,
                                      std::uint32_t value) const
    {
        return {kind, s_.cookie, at_ns, value, 0};
    }

    /// For what is particular to a test.
    SocketSample& raw() { return s_; }

private:
    SocketSample s_;
};

}  // namespace drainwatch::test
