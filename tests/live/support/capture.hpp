#pragma once

#include "host/file.hpp"
#include "support/process.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace drainwatch::live {

/// A TCP segment that tcpdump saw.
struct Segment {
    std::uint64_t at_ns = 0;  ///< CLOCK_REALTIME
    std::uint16_t source = 0;
    std::uint16_t dest = 0;
    std::uint32_t seq = 0;
    std::uint32_t ack_seq = 0;
    std::uint32_t length = 0;
    std::uint16_t window = 0;       ///< unscaled
    std::uint8_t window_scale = 0;  ///< in a SYN: what later windows are to be shifted by
    bool syn = false;
    bool fin = false;
    bool rst = false;
    bool ack = false;
};

/// tcpdump on lo, for one port: the witness that nobody here wrote.
class Capture {
public:
    /// `netns`: name of the network namespace; empty for the test's own.
    explicit Capture(std::uint16_t port, const std::string& netns = "");
    Capture(const Capture&) = delete;
    Capture& operator=(const Capture&) = delete;

    /// Ends the capture; what follows can be asked then. Throws if packets were lost.
    void stop();

    /// First zero window that the port announced to the peer (RFC 9293: ACK, no SYN, no RST).
    [[nodiscard]] std::optional<std::uint64_t> first_zero_ns(std::uint16_t peer) const;
    /// When the byte at this place of the stream was sent to the port.
    [[nodiscard]] std::optional<std::uint64_t> byte_sent_ns(std::uint16_t peer,
                                                            std::uint64_t offset) const;
    /// Was the last window that the port announced to the peer before this time zero?
    [[nodiscard]] bool closed_at(std::uint16_t peer, std::uint64_t at_ns) const;
    [[nodiscard]] const std::vector<Segment>& segments() const { return segments_; }

private:
    std::uint16_t port_;
    std::optional<Process> tcpdump_;
    File packets_;  ///< what it writes to stdout
    File said_;     ///< and to stderr
    std::vector<Segment> segments_;
};

}  // namespace drainwatch::live
