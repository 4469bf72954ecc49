#pragma once

#include "drainwatch/sample.hpp"

#include <cstdint>
#include <unordered_map>

namespace drainwatch {

/// Sockets of targets for which there is no place in the table, from one look to the next. Pure.
class LeftOut {
public:
    struct Socket {
        std::uint32_t owner = 0;     ///< pid; 0: whoever it is
        std::uint64_t found_ns = 0;  ///< as a new connection that has not been told of; 0: not so
        bool had_unread = false;     ///< and was told of
    };

    /// What this look does not leave out again is forgotten.
    void begin_look();

    /// As of the look before; null for one that was not left out then.
    [[nodiscard]] const Socket* before(Cookie cookie) const;

    /// It still has nothing unread.
    void keep(Cookie cookie);

    /// It has given its place to another.
    void give_up(Cookie cookie, std::uint32_t owner);

    /// There is no place for it. True if that is to be told: it has unread data, for the first
    /// time. `found_ns` is that of the first time that it is left out.
    [[nodiscard]] bool add(Cookie cookie, std::uint32_t owner, bool has_unread,
                           std::uint64_t found_ns);

    /// The look has failed: what it did not come to is as it was.
    void keep_all();

private:
    std::unordered_map<Cookie, Socket> before_;
    std::unordered_map<Cookie, Socket> now_;
};

}  // namespace drainwatch
