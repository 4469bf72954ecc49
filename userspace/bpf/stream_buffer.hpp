#pragma once

#include "drainwatch/result.hpp"
#include "drainwatch/stream_bytes.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

struct perf_buffer;

namespace drainwatch {

/// What StreamBytes::place stands for.
struct HandshakePlace {
    std::uint32_t slot = 0;
    std::uint8_t round = 0;
};
[[nodiscard]] HandshakePlace handshake_place(std::uint64_t place);

/// A record of the buffer: who the socket is, and a segment from its first header on. Nothing if
/// it is not whole.
[[nodiscard]] std::optional<StreamBytes> decode_stream_bytes(std::span<const std::byte> bytes);

/// Where the kernel side puts bytes of streams (bpf/tls.h): a buffer of fixed size for each CPU.
class StreamBuffer {
public:
    [[nodiscard]] static Result<StreamBuffer> open(int map_fd);

    /// Readable when there is more in one of them than a few handshakes: those can wait for the
    /// next look.
    [[nodiscard]] int wake_fd() const;

    /// Kernel memory that all of them take, in bytes.
    [[nodiscard]] std::uint64_t memory_bytes() const;

    /// Moves what is there out of the kernel's sight, to be taken later.
    void collect();
    /// Everything that is there, in the order of time.
    [[nodiscard]] std::vector<StreamBytes> take();

    [[nodiscard]] std::uint64_t decoded() const { return taken_->decoded; }
    /// Records of unknown shape.
    [[nodiscard]] std::uint64_t undecoded() const { return taken_->undecoded; }

private:
    struct Taken {
        std::vector<StreamBytes> bytes;
        std::uint64_t decoded = 0;
        std::uint64_t undecoded = 0;
    };
    struct Deleter {
        void operator()(perf_buffer* buffer) const;
    };

    StreamBuffer() : taken_(std::make_unique<Taken>()) {}

    std::unique_ptr<Taken> taken_;  ///< its address is what the callback knows
    std::unique_ptr<perf_buffer, Deleter> buffer_;
};

}  // namespace drainwatch
