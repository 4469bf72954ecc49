#include "bpf/slot_looks.hpp"

#include "drainwatch/socket_track.h"
#include "host/clock.hpp"
#include "state/slot.hpp"

#include <cstddef>
#include <functional>
#include <string_view>

namespace drainwatch {
namespace {

/// At its end, what the peer has sent may still be read if it ended in order; else what was unread
/// is given up, though the socket may live on.
bool is_given_up(const dw_slot& slot)
{
    return slot.state == DW_TCP_CLOSE && slot.unread.count == 0 && dw_unread_bytes(&slot) != 0;
}

/// Nothing more is to be said of it.
bool is_past(const dw_slot& slot, bool sees_last_reads)
{
    return is_given_up(slot) || (slot.state == DW_TCP_CLOSE && !sees_last_reads);
}

/// Of all that a slot says, without the padding behind it.
std::size_t content_of(const dw_slot& slot)
{
    constexpr std::size_t kBytes = offsetof(dw_slot, remote) + sizeof(slot.remote);
    return std::hash<std::string_view>()({reinterpret_cast<const char*>(&slot), kBytes});
}

}  // namespace

void SlotLooks::take(std::uint32_t slot, const dw_slot& value,
                     const std::unordered_set<Cookie>& all_told, Look& found)
{
    const Cookie cookie{value.cookie};
    Seen& seen = seen_[cookie];
    seen.slot = slot;
    seen.look = looks_;
    const auto before = seen.content;
    seen.content = all_told.contains(cookie) ? std::optional(content_of(value)) : std::nullopt;
    if (seen.content && seen.content == before) {
        found.unchanged.push_back(cookie);
    } else {
        found.samples.push_back(decode_slot(value, monotonic_ns()));
    }
}

Look SlotLooks::look(const std::vector<Cookie>& followed,
                     const std::unordered_set<Cookie>& all_told, bool sees_last_reads)
{
    Look found;
    looks_++;
    const std::uint32_t end = pool_.in_use();
    for (std::uint32_t slot = 0; slot < end; slot++) {
        if (!table_.calls_for_attention(slot)) {
            continue;
        }
        const auto value = table_.read(slot);
        if (value && is_taken(*value) && !is_past(*value, sees_last_reads)) {
            take(slot, *value, all_told, found);
        }
    }
    std::optional<std::unordered_map<Cookie, std::uint32_t>> places;
    const auto place_of = [&](Cookie cookie) -> std::optional<std::uint32_t> {
        if (!places) {
            places = table_.places(end);
        }
        const auto place = places->find(cookie);
        return place != places->end() ? std::optional(place->second) : std::nullopt;
    };
    for (const Cookie cookie : followed) {
        const auto known = seen_.find(cookie);
        if (known != seen_.end() && known->second.look == looks_) {
            continue;
        }
        const auto slot = known != seen_.end() ? std::optional(known->second.slot)
                                               : place_of(cookie);  // after a pause
        if (!slot) {
            found.gone.push_back(cookie);
            continue;
        }
        const auto value = table_.read(*slot);
        if (!value) {
            seen_[cookie] = {*slot, looks_, std::nullopt};  // changing fast: not now
        } else if (Cookie{value->cookie} != cookie || !is_taken(*value) ||
                   is_past(*value, sees_last_reads)) {
            found.gone.push_back(cookie);
        } else {
            take(*slot, *value, all_told, found);
        }
    }
    std::erase_if(seen_, [&](const auto& entry) { return entry.second.look != looks_; });
    return found;
}

std::optional<SocketSample> SlotLooks::sample(Cookie cookie) const
{
    const auto known = seen_.find(cookie);
    if (known == seen_.end()) {
        return std::nullopt;
    }
    const auto value = table_.read(known->second.slot);
    if (!value || Cookie{value->cookie} != cookie) {
        return std::nullopt;
    }
    return decode_slot(*value, monotonic_ns());
}

}  // namespace drainwatch
