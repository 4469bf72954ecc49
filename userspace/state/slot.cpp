#include "state/slot.hpp"

#include <algorithm>

namespace drainwatch {
namespace {

Endpoint endpoint(const dw_slot& slot, const __u8 (&address)[16], std::uint16_t port)
{
    Endpoint e;
    e.family = slot.family;
    std::copy(std::begin(address), std::end(address), e.address.begin());
    e.port = port;
    return e;
}

}  // namespace

SocketSample decode_slot(const dw_slot& slot, std::uint64_t now_ns)
{
    SocketSample s;
    s.cookie = Cookie{slot.cookie};
    s.local = endpoint(slot, slot.local, slot.local_port);
    s.remote = endpoint(slot, slot.remote, slot.remote_port);
    s.netns = slot.netns;
    s.watched_since_ns = slot.opened_ns;
    s.taken_ns = now_ns;
    s.window = slot.window;
    s.window.copied_seq = slot.copied_seq;
    s.data_end = slot.data_end;
    s.rcvlowat = slot.rcvlowat;
    const std::uint32_t entries = std::min<std::uint32_t>(slot.unread.count, DW_FIFO_LEN);
    s.unread.reserve(entries);
    for (std::uint32_t i = 0; i < entries; i++) {
        const dw_arrival arrival = slot.unread.entry[(slot.unread.head + i) % DW_FIFO_LEN];
        if (!dw_seq_before(slot.copied_seq, arrival.end_seq)) {
            continue;  // read already; two CPUs have crossed
        }
        s.unread.push_back({arrival.end_seq, arrival.at_ns});
    }
    s.age_is_lower_bound = slot.flags & DW_SLOT_LOWER_BOUND;
    s.said_nothing = (slot.flags & DW_SLOT_BORN_HERE) && slot.data_end == slot.end_at_open;
    s.last_read_ns = slot.last_read_ns;
    s.habit_gap_ns = std::max(slot.habit.longest_gap_ns[0], slot.habit.longest_gap_ns[1]);
    s.habit_depth_bytes = std::max(slot.habit.deepest_bytes[0], slot.habit.deepest_bytes[1]);
    s.closed = slot.flags & DW_SLOT_CLOSED;
    s.turn_is_estimated = slot.flags & DW_SLOT_TURN_ESTIMATED;
    s.zero_ns = slot.zero_ns;
    s.reopened_ns = slot.reopened_ns;
    s.zero_count = slot.zero_count;
    s.reader_tgid = slot.reader_tgid;
    s.reader_tid = slot.reader_tid;
    s.owner_tgid = slot.owner_tgid;
    return s;
}

}  // namespace drainwatch
