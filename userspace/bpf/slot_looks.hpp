#pragma once

#include "bpf/slot_pool.hpp"
#include "bpf/slots.hpp"
#include "drainwatch/source.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace drainwatch {

/// Looks at the table of sockets, and remembers where those are that a look or a notice has named.
class SlotLooks {
public:
    SlotLooks(SlotTable& table, const SlotPool& pool) : table_(table), pool_(pool) {}

    /// A notice has named it.
    void note(Cookie cookie, std::uint32_t slot) { seen_[cookie].slot = slot; }

    /// See Source::look(). `sees_last_reads`: what is read from a connection at its end is seen.
    [[nodiscard]] Look look(const std::vector<Cookie>& followed,
                            const std::unordered_set<Cookie>& all_told, bool sees_last_reads);

    [[nodiscard]] std::optional<SocketSample> sample(Cookie cookie) const;

    void forget() { seen_.clear(); }

private:
    /// A socket that the last look, or a notice since, has named.
    struct Seen {
        std::uint32_t slot = 0;
        std::uint64_t look = 0;              ///< the last one that has named it
        std::optional<std::size_t> content;  ///< hash of the slot, where it was to be compared
    };

    /// What the look finds in a slot goes into `found`.
    void take(std::uint32_t slot, const dw_slot& value, const std::unordered_set<Cookie>& all_told,
              Look& found);

    SlotTable& table_;
    const SlotPool& pool_;
    std::unordered_map<Cookie, Seen> seen_;
    std::uint64_t looks_ = 0;
};

}  // namespace drainwatch
