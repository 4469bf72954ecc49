#pragma once

#include "drainwatch/abi.h"
#include "drainwatch/result.hpp"
#include "drainwatch/sample.hpp"
#include "host/shared_mapping.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

namespace drainwatch {

/// A socket has this slot, and has not been destroyed.
[[nodiscard]] bool is_taken(const dw_slot& slot);

/// The kernel side's table of sockets, mapped: a look costs no system call. Of the slots, only
/// those parts are mapped that were asked for lately, so that a large table of idle sockets does
/// not count as memory of ours. Written to from here are only what calls for attention, and that a
/// TLS handshake is past.
class SlotTable {
public:
    [[nodiscard]] static Result<SlotTable> map(int slots_fd, int attention_fd, std::uint32_t size);

    [[nodiscard]] std::uint32_t size() const { return size_; }

    /// May the slot hold unread data? A flag that turns out to be out of date is taken back.
    [[nodiscard]] bool calls_for_attention(std::uint32_t slot);

    /// A copy of a slot that the kernel did not change half way: two looks agree. Nothing if it
    /// changes too fast, which a later look will not find.
    [[nodiscard]] std::optional<dw_slot> read(std::uint32_t slot) const;

    /// Which of the first `end` slots is whose.
    [[nodiscard]] std::unordered_map<Cookie, std::uint32_t> places(std::uint32_t end) const;

    /// Of the first `end` slots, when the longest idle of those became so that have had nothing
    /// unread since before `limit_ns`: the `number`-th of them, or the last. 0 without any.
    [[nodiscard]] std::uint64_t idle_since(std::uint32_t end, std::size_t number,
                                           std::uint64_t limit_ns) const;
    /// Tells the kernel side that no more is wanted of this round, a handshake of the socket
    /// (tls_phase.h).
    void settle_handshake(std::uint32_t slot, Cookie cookie, std::uint8_t round,
                          std::uint8_t alert_bytes);
    /// The same of every socket in the first `end` slots whose handshake is not past: what comes
    /// after it is to be looked at as on a connection that was there before.
    void settle_handshakes(std::uint32_t end);

    /// Ends what is left in the first `end` slots, and tells which those are. Only while the kernel
    /// side is at rest.
    [[nodiscard]] std::vector<std::uint32_t> clear(std::uint32_t end);

    /// Network namespaces of the sockets that are watched in the first `end` slots.
    [[nodiscard]] std::set<std::uint32_t> namespaces(std::uint32_t end) const;

private:
    SlotTable(int slots_fd, std::uint32_t size);

    /// Null if this part of the table cannot be mapped now.
    [[nodiscard]] std::byte* at(std::uint32_t slot) const;
    /// The first bytes of a slot, and zeros. It may change half way.
    [[nodiscard]] dw_slot head(std::uint32_t slot, std::size_t bytes) const;

    int slots_fd_;
    std::uint32_t size_;
    SharedMapping attention_;
    // A cache: what is mapped changes no answer.
    mutable std::vector<SharedMapping> windows_;
    mutable std::size_t mapped_ = 0;  ///< windows that are mapped
};

}  // namespace drainwatch
