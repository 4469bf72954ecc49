#pragma once

#include "poll/polled_socket.hpp"

#include <sys/socket.h>
#include <cstdint>
#include <deque>

namespace drainwatch::test {

/// What a kernel tells beside the queue.
enum class Tells {
    counters,  ///< bytes received, times of arrival, windows: 6.2
    times,     ///< times of arrival: 3.10
    nothing,   ///< /proc/net/tcp
};

/// A receive queue of which everything is known, and what the kernel's tables would say of it.
class KernelSocket {
public:
    struct Arrived {
        std::uint64_t end = 0;
        std::uint64_t at_ns = 0;
    };

    explicit KernelSocket(Tells tells, std::uint64_t first_byte = 0)
        : tells_(tells), received_(first_byte), copied_(first_byte)
    {}

    /// From now on: whoever asks does not get tcp_info while a reader holds the socket's lock.
    void tell(Tells tells) { tells_ = tells; }

    void arrive(std::uint32_t bytes, std::uint64_t at_ns)
    {
        received_ += bytes;
        queue_.push_back({received_, at_ns});
        newest_ns_ = at_ns;
        segments_++;
        data_segments_++;
    }

    void read(std::uint64_t bytes, std::uint64_t at_ns)
    {
        const std::uint64_t taken = std::min(bytes, received_ - copied_);
        copied_ += taken;
        while (!queue_.empty() && queue_.front().end <= copied_) {
            queue_.pop_front();
        }
        if (taken > 0) {
            last_read_ns_ = at_ns;
        }
    }

    void read_all(std::uint64_t at_ns) { read(received_ - copied_, at_ns); }

    /// The peer ends its side; read_fin() is the reader's recv() that returns 0.
    void fin() { fin_unread_ = fin_ = true; }
    void read_fin() { fin_unread_ = false; }

    /// A segment without data that acknowledges nothing.
    void probe() { segments_++; }

    /// Data that is refused, for there is no memory: it comes again and again.
    void refuse()
    {
        segments_++;
        data_segments_++;
    }

    [[nodiscard]] SocketState state(std::uint64_t now_ns) const
    {
        constexpr std::uint8_t kEstablished = 1;
        constexpr std::uint8_t kCloseWait = 8;
        SocketState s;
        s.local = {AF_INET, {127, 0, 0, 1}, 8765};
        s.remote = {AF_INET, {127, 0, 0, 1}, 40000};
        s.cookie = Cookie{77};
        s.inode = 4711;
        s.state = fin_ ? kCloseWait : kEstablished;
        s.recv_queue = static_cast<std::uint32_t>(unread()) + (fin_unread_ ? 1 : 0);
        if (tells_ != Tells::nothing) {
            s.memory = memory;
            TcpInfo info;
            info.rcv_mss = 1448;
            info.rcv_wscale = 7;
            info.rcv_ssthresh = 64088;
            info.last_data_recv_ms =
                static_cast<std::uint32_t>(jiffies(now_ns) - jiffies(newest_ns_)) * kJiffyMs;
            if (tells_ == Tells::counters) {
                info.bytes_received = received_ + (fin_ ? 1 : 0);
                info.segs_in = segments_;
                info.data_segs_in = data_segments_;
                info.bytes_acked = acked;
                info.rcv_wnd = window;
            }
            s.info = info;
        }
        return s;
    }

    [[nodiscard]] std::uint64_t unread() const { return received_ - copied_; }
    [[nodiscard]] std::uint64_t copied() const { return copied_; }
    [[nodiscard]] std::uint64_t received() const { return received_; }
    [[nodiscard]] std::uint64_t last_read_ns() const { return last_read_ns_; }
    /// Of the oldest unread byte; 0 if there is none.
    [[nodiscard]] std::uint64_t oldest_ns() const
    {
        return queue_.empty() ? 0 : queue_.front().at_ns;
    }
    [[nodiscard]] std::uint64_t newest_ns() const { return newest_ns_; }

    static constexpr std::uint64_t kJiffyMs = 4;  // HZ=250

    SocketMemory memory{0, 131072, 0};
    std::optional<std::uint32_t> window = 65536;
    std::uint64_t acked = 0;

private:
    static std::uint64_t jiffies(std::uint64_t at_ns) { return at_ns / (kJiffyMs * 1'000'000); }

    Tells tells_;
    std::uint64_t received_;
    std::uint64_t copied_;
    std::uint64_t newest_ns_ = 0;
    std::uint64_t last_read_ns_ = 0;
    std::uint32_t segments_ = 10;
    std::uint32_t data_segments_ = 7;
    bool fin_ = false;
    bool fin_unread_ = false;
    std::deque<Arrived> queue_;
};

}  // namespace drainwatch::test
