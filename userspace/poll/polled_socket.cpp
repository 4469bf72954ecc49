#include "poll/polled_socket.hpp"

#include "drainwatch/socket_track.h"
#include "drainwatch/units.hpp"
#include "state/slot.hpp"

#include <algorithm>
#include <limits>

namespace drainwatch {
namespace {

/// tcpi_last_data_recv is a difference of jiffies, and may be wrong by one: HZ is 100 to 1000.
constexpr std::uint64_t kLongestJiffyNs = 10 * kNsPerMs;

/// tcp_sock.scaling_ratio is not told. It begins at a half and follows the largest segments, as
/// their payload to their truesize, once they are larger than the first guess at rcv_mss:
/// tcp_init_sock(), tcp_measure_rcv_mss(), Linux 6.18.
constexpr std::uint32_t kFirstRatio = 128;
constexpr std::uint32_t kMostRatio = 255;
constexpr std::uint32_t kFirstMss = 536;
/// More than this between two looks says little of a place in the stream, which has 32 bits.
constexpr std::uint64_t kMostBetweenLooks = 1ULL << 30;
/// Truesize of a segment on loopback without its payload; others are near it.
constexpr std::uint32_t kOverhead = 832;

bool fin_is_unread(const SocketState& state)
{
    return dw_fin_received(state.state) && state.recv_queue > 0;
}

/// The window announced is no wider than what an empty buffer is good for.
std::uint8_t estimated_ratio(const SocketState& state)
{
    const std::uint64_t mss = state.info->rcv_mss;
    const std::uint64_t by_window =
        state.memory->rcvbuf != 0 ? 256ULL * *state.info->rcv_wnd / state.memory->rcvbuf : 0;
    const std::uint64_t by_segments = mss > kFirstMss ? 256 * mss / (mss + kOverhead) : kFirstRatio;
    return static_cast<std::uint8_t>(
        std::min<std::uint64_t>(std::max(by_segments, by_window), kMostRatio));
}

}  // namespace

std::uint32_t unread_bytes(const SocketState& state)
{
    return state.recv_queue - (fin_is_unread(state) ? 1 : 0);
}

bool may_send(const SocketState& state)
{
    return state.state == DW_TCP_ESTABLISHED || state.state == DW_TCP_CLOSE_WAIT;
}

PolledSocket::PolledSocket(const SocketState& state, const WindowRules& rules, std::uint32_t netns,
                           std::uint32_t owner_tgid, std::uint64_t now_ns)
    : state_(state),
      rules_(rules),
      looked_ns_(now_ns),
      not_read_until_ns_(now_ns),
      queue_since_ns_(now_ns)
{
    slot_.cookie = static_cast<std::uint64_t>(state.cookie);
    slot_.opened_ns = now_ns;
    slot_.rcvlowat = 1;
    slot_.netns = netns;
    slot_.owner_tgid = owner_tgid;
    slot_.family = static_cast<__u16>(state.local.family);
    slot_.local_port = state.local.port;
    slot_.remote_port = state.remote.port;
    std::copy(state.local.address.begin(), state.local.address.end(), slot_.local);
    std::copy(state.remote.address.begin(), state.remote.address.end(), slot_.remote);

    const auto received = state.info ? state.info->bytes_received : std::nullopt;
    slot_.copied_seq =
        static_cast<std::uint32_t>(received.value_or(state.recv_queue)) - state.recv_queue;
    counted_ = received;
    slot_.data_end = slot_.copied_seq + unread_bytes(state);
    slot_.end_at_open = slot_.data_end;
    if (dw_unread_bytes(&slot_) != 0) {
        dw_fifo_push(&slot_.unread, slot_.data_end, newest_arrival_ns(state, now_ns));
        slot_.flags |= DW_SLOT_LOWER_BOUND;
    }
    slot_.state = state.state;
    take_window(state);
    if (state.info && state.info->rcv_wnd == 0) {
        slot_.flags |= DW_SLOT_CLOSED | DW_SLOT_WAS_CLOSED;
        slot_.zero_count = 1;
    }
}

void PolledSocket::set_new()
{
    is_new_ = true;
    if (slot_.flags & DW_SLOT_CLOSED) {
        slot_.zero_ns = slot_.opened_ns;  // it was not closed before
    }
}

/// The place in the stream up to which the application has read for certain. The queue was read
/// before the counter, so the counter of the look before is what the queue may be held against.
std::uint32_t PolledSocket::read_up_to(const SocketState& state) const
{
    const std::uint32_t gone = state_.recv_queue - std::min(state.recv_queue, state_.recv_queue);
    const std::uint32_t at_least = slot_.copied_seq + gone;
    if (state_.info && state_.info->bytes_received) {
        // At the first look the counter may have been ahead of the queue: then this lags.
        const auto received = static_cast<std::uint32_t>(*state_.info->bytes_received);
        const std::uint32_t by_counter = received - counter_origin_ - state.recv_queue;
        return dw_seq_before(by_counter, at_least) ? at_least : by_counter;
    }
    if (gone > 0) {
        return at_least;
    }
    // No byte counters: a queue that stays the same while data comes in is being read.
    const bool data_came =
        state_.info && newest_arrival_ns(state_, looked_ns_) > queue_since_ns_ + kLongestJiffyNs;
    const bool was_read =
        state.recv_queue == state_.recv_queue && state.recv_queue > 0 && data_came;
    return slot_.copied_seq + (was_read ? 1 : 0);
}

/// When the newest data came. The oldest of what is new came before it, but after the last look.
std::uint64_t PolledSocket::newest_arrival_ns(const SocketState& state, std::uint64_t now_ns) const
{
    if (!state.info) {
        return now_ns;
    }
    const std::uint64_t ago_ns = std::min(state.info->last_data_recv_ms * kNsPerMs, now_ns);
    return now_ns - ago_ns;
}

void PolledSocket::take_window(const SocketState& state)
{
    dw_window& w = slot_.window;
    w.rcv_nxt = slot_.copied_seq + state.recv_queue;
    if (!state.memory || !state.info) {
        w.flags = DW_WINDOW_UNKNOWN;
        return;
    }
    const bool first = w.rcvbuf == 0;
    w.flags = 0;
    w.window_clamp = std::numeric_limits<std::int32_t>::max();  // not told
    w.rcv_ssthresh = state.info->rcv_ssthresh;
    w.rcv_mss = state.info->rcv_mss;
    w.rcv_wscale = state.info->rcv_wscale;
    w.rcvbuf = static_cast<std::int32_t>(state.memory->rcvbuf);
    w.rmem = static_cast<std::int32_t>(state.memory->rmem);
    w.backlog = static_cast<std::int32_t>(state.memory->backlog);
    w.rmem_max = rules_.rmem_max;
    w.adv_win_scale = rules_.adv_win_scale;
    if (rules_.may_have_scaling_ratio && state.info->rcv_wnd) {
        w.flags |= DW_SCALING_RATIO;
        w.scaling_ratio = estimated_ratio(state);
    }
    if (rules_.shrink_window) {
        w.flags |= DW_SHRINK_WINDOW;
    }
    if (w.rcvbuf < rules_.rmem_default) {
        w.flags |= DW_RCVBUF_LOCKED;  // autotuning never goes below
    }
    // As if an ACK were sent at each look. Where the kernel does not tell what it announced, what
    // it would announce has to do.
    const std::uint32_t would_announce = first ? dw_window_selected(&w) : dw_window_next(&w);
    w.rcv_wnd = state.info->rcv_wnd.value_or(would_announce);
    w.rcv_wup = w.rcv_nxt;
}

/// Where the kernel does not tell the announced window: it wants zero, and the peer sends segments
/// without data that do not acknowledge anything either, which are window probes. Where it tells
/// nothing of windows: as it was, unless all is read.
bool PolledSocket::window_is_closed(const SocketState& state) const
{
    if (!state.info || !state.memory) {
        return (slot_.flags & DW_SLOT_CLOSED) && state.recv_queue > 0;
    }
    if (state.info->rcv_wnd) {
        return *state.info->rcv_wnd == 0;
    }
    const dw_window& w = slot_.window;
    if (dw_window_selected(&w) != 0) {
        return false;
    }
    if (slot_.flags & DW_SLOT_CLOSED) {
        return true;
    }
    // What was announced is followed look by look, and may be a little too much by now.
    // Data that comes again and again is refused for want of memory, under an open window.
    const bool probed = state_.info && state.info->segs_in != state_.info->segs_in &&
                        state.info->data_segs_in == state_.info->data_segs_in &&
                        state.info->bytes_acked == state_.info->bytes_acked;
    return probed && state.info->data_segs_in && dw_window_current(&w) < dw_window_floor(&w);
}

void PolledSocket::follow_closing(bool closed, std::uint64_t now_ns)
{
    const bool was_closed = slot_.flags & DW_SLOT_CLOSED;
    if (closed && !was_closed) {
        slot_.flags |= DW_SLOT_CLOSED | DW_SLOT_WAS_CLOSED;
        slot_.zero_count++;
        slot_.zero_ns = now_ns;
    } else if (!closed && was_closed) {
        slot_.flags &= static_cast<__u8>(~DW_SLOT_CLOSED);
        slot_.reopened_ns = now_ns;
    }
}

/// The kernel reads the state before the queue: a FIN that came in between looked like a byte.
void PolledSocket::take_fin_back(std::uint32_t data_end)
{
    if (dw_seq_before(data_end, slot_.data_end)) {
        slot_.data_end = data_end;
    }
    if (dw_unread_bytes(&slot_) == 0) {
        dw_fifo_clear(&slot_.unread);
    }
}

/// The counter may be told for the first time now, or again after it was not.
void PolledSocket::follow_counter(const SocketState& state)
{
    const auto received = state.info ? state.info->bytes_received : std::nullopt;
    if (!received) {
        return;
    }
    const bool is_continued = counted_ && *received - *counted_ < kMostBetweenLooks;
    if (!is_continued) {
        const std::uint32_t was_read = counted_ ? 1 : 0;  // more than any buffer holds
        counter_origin_ = static_cast<std::uint32_t>(*received) -
                          (slot_.copied_seq + was_read + state.recv_queue);
    }
    counted_ = received;
}

void PolledSocket::update(const SocketState& state, std::uint64_t warn_after_ns,
                          std::uint64_t now_ns)
{
    const std::uint32_t was_read_up_to = slot_.copied_seq;
    dw_track_read(&slot_, read_up_to(state), now_ns, not_read_until_ns_, warn_after_ns);
    if (state.recv_queue != state_.recv_queue || slot_.copied_seq != was_read_up_to) {
        queue_since_ns_ = now_ns;
    }
    const std::uint32_t data_end = slot_.copied_seq + unread_bytes(state);
    if (fin_is_unread(state)) {
        take_fin_back(data_end);
    }
    const std::uint64_t arrived_ns = std::max(newest_arrival_ns(state, now_ns), looked_ns_);
    dw_track_arrival(&slot_, data_end, arrived_ns);
    slot_.state = state.state;
    take_window(state);
    follow_closing(window_is_closed(state), now_ns);
    follow_counter(state);
    state_ = state;
    looked_ns_ = now_ns;
    if (read_up_to(state_) == slot_.copied_seq) {
        not_read_until_ns_ = now_ns;  // else the next answer will tell what was read before this
    }
}

SocketSample PolledSocket::sample() const
{
    SocketSample sample = decode_slot(slot_, looked_ns_);
    sample.estimated = true;
    sample.is_new = is_new_;
    return sample;
}

}  // namespace drainwatch
