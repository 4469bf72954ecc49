#pragma once

#include "bpf/slot_pool.hpp"
#include "bpf/slots.hpp"
#include "bpf/stream_buffer.hpp"
#include "drainwatch/source.hpp"

#include <cstdint>
#include <utility>
#include <vector>

struct drainwatch_bpf;

namespace drainwatch {

/// What the kernel side takes of streams, and how it is told of what is wanted.
class KernelStreams final : public Streams {
public:
    KernelStreams(StreamBuffer buffer, const drainwatch_bpf& kernel_side, SlotTable& table,
                  const SlotPool& pool)
        : buffer_(std::move(buffer)), kernel_side_(kernel_side), table_(table), pool_(pool)
    {}

    [[nodiscard]] std::vector<StreamBytes> take() override;
    [[nodiscard]] bool are_taken() const override { return wanted_ && hooked_; }
    void want(bool wanted) override;
    [[nodiscard]] HookRuns runs() const override;
    void settle_handshake(Cookie cookie, std::uint64_t place, std::uint8_t alert_bytes) override;

    /// Are the hooks attached that see what comes in, and what leaves? With one direction alone, a
    /// handshake that went well looks as if it had not been answered.
    void set_hooked(bool hooked);

    [[nodiscard]] StreamBuffer& buffer() { return buffer_; }
    [[nodiscard]] const StreamBuffer& buffer() const { return buffer_; }

private:
    /// Tells the kernel side, if that is a change.
    void take_or_not();

    StreamBuffer buffer_;
    const drainwatch_bpf& kernel_side_;
    SlotTable& table_;
    const SlotPool& pool_;
    bool wanted_ = true;
    bool hooked_ = true;
};

}  // namespace drainwatch
