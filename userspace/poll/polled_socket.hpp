#pragma once

#include "drainwatch/abi.h"
#include "poll/socket_state.hpp"

#include <cstdint>
#include <optional>

namespace drainwatch {

/// What decides about windows in a network namespace, from /proc/sys/net/ipv4.
struct WindowRules {
    std::int32_t rmem_default = 131072;  ///< tcp_rmem[1]: where an unlocked buffer begins
    std::int32_t rmem_max = 6291456;     ///< tcp_rmem[2]: how far it may grow
    std::int8_t adv_win_scale = 1;       ///< tcp_adv_win_scale
    bool shrink_window = false;          ///< tcp_shrink_window
    /// There is a tcp_shrink_window, so the window may follow what segments really cost: 6.5+,
    /// but Debian's 6.1 has the switch alone.
    bool may_have_scaling_ratio = false;
};

/// Of a connection, as of this look: its queue without a FIN, which is one byte more there.
[[nodiscard]] std::uint32_t unread_bytes(const SocketState& state);

/// This side has not said its last word.
[[nodiscard]] bool may_send(const SocketState& state);

/// A socket that is looked at now and then: keeps the slot that the BPF side would keep, as far as
/// looks can tell. Sequence numbers are counted from tcp_info's byte counters. Pure.
///
/// Between two looks the kernel tells how much arrived and how much is left, and when the newest
/// segment came. So, against the truth: a stall's age is short by the distance of two looks at
/// most, and long by a jiffy; a read is seen at the next look, or at the one after it where the
/// next finds the queue empty. A look whose parts the kernel read at different times never shows
/// more progress than there was. Without byte counters a read may be missed altogether, and the
/// age of what is left be over-stated.
///
/// A look may lack tcp_info, as while its reader holds the socket's lock. Then reads are seen where
/// the queue becomes shorter, and the window is closed for as long as it was and something is
/// unread.
class PolledSocket {
public:
    PolledSocket(const SocketState& state, const WindowRules& rules, std::uint32_t netns,
                 std::uint32_t owner_tgid, std::uint64_t now_ns);

    /// There was no such connection at the look before.
    void set_new();

    /// A silence of `warn_after_ns` or longer is no habit.
    void update(const SocketState& state, std::uint64_t warn_after_ns, std::uint64_t now_ns);

    [[nodiscard]] const SocketState& state() const { return state_; }
    [[nodiscard]] const dw_slot& slot() const { return slot_; }
    [[nodiscard]] SocketSample sample() const;

private:
    [[nodiscard]] std::uint32_t read_up_to(const SocketState& state) const;
    [[nodiscard]] std::uint64_t newest_arrival_ns(const SocketState& state,
                                                  std::uint64_t now_ns) const;
    void take_window(const SocketState& state);
    [[nodiscard]] bool window_is_closed(const SocketState& state) const;
    void take_fin_back(std::uint32_t data_end);
    void follow_closing(bool closed, std::uint64_t now_ns);
    void follow_counter(const SocketState& state);

    SocketState state_;  ///< as of the last look
    WindowRules rules_;
    std::optional<std::uint64_t> counted_;  ///< bytes_received, as it was told last
    std::uint32_t counter_origin_ = 0;      ///< where in that count the slot's numbers begin
    bool is_new_ = false;
    std::uint64_t looked_ns_;
    std::uint64_t not_read_until_ns_;  ///< nothing had been read yet beyond slot_.copied_seq
    std::uint64_t queue_since_ns_;     ///< since when the queue is as long as it is, and not read
    dw_slot slot_{};
};

}  // namespace drainwatch
