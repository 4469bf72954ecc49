#include "bpf/kernel_streams.hpp"

#include "bpf/hooks.hpp"
#include "drainwatch.skel.h"

namespace drainwatch {

std::vector<StreamBytes> KernelStreams::take()
{
    auto bytes = buffer_.take();
    // What was on its way when they were given up is not all that there was.
    return are_taken() ? std::move(bytes) : std::vector<StreamBytes>();
}

void KernelStreams::want(bool wanted)
{
    wanted_ = wanted;
    take_or_not();
}

void KernelStreams::set_hooked(bool hooked)
{
    hooked_ = hooked;
    take_or_not();
}

void KernelStreams::take_or_not()
{
    const bool were_taken = kernel_side_.bss->streams_off == 0;
    if (are_taken() == were_taken) {
        return;
    }
    if (are_taken()) {
        // Of these, the beginning may have been seen, but not what came since.
        table_.settle_handshakes(pool_.in_use());
    }
    __atomic_store_n(&kernel_side_.bss->streams_off, are_taken() ? 0U : 1U, __ATOMIC_SEQ_CST);
}

HookRuns KernelStreams::runs() const
{
    return read_stream_runs(kernel_side_);
}

void KernelStreams::settle_handshake(Cookie cookie, std::uint64_t place, std::uint8_t alert_bytes)
{
    const HandshakePlace at = handshake_place(place);
    table_.settle_handshake(at.slot, cookie, at.round, alert_bytes);
}

}  // namespace drainwatch
