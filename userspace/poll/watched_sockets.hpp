#pragma once

#include "drainwatch/source.hpp"
#include "host/pace.hpp"
#include "poll/polled_socket.hpp"
#include "poll/polled_targets.hpp"

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace drainwatch {

/// The sockets that are watched by polling, and when which of them is asked for.
class WatchedSockets {
public:
    /// `tells_windows`: the kernel can be asked for single sockets, and for their windows.
    WatchedSockets(const SourceOptions& options, const PolledTargets& targets, bool tells_windows);

    [[nodiscard]] std::size_t size() const { return sockets_.size(); }
    [[nodiscard]] bool contains(Cookie cookie) const { return sockets_.contains(cookie); }
    [[nodiscard]] const PolledSocket& at(Cookie cookie) const { return sockets_.at(cookie); }
    /// One that is watched already stays as it is.
    PolledSocket& add(const PolledSocket& socket);
    void erase(Cookie cookie) { sockets_.erase(cookie); }

    /// A look at some of them: those that are due. Returns which were asked for.
    [[nodiscard]] std::vector<Cookie> ask_some(const std::vector<Cookie>& followed,
                                               const std::unordered_set<Cookie>& all_told);

    /// Those that have nothing unread, are not followed, and are not among `filled`; the one that
    /// was idle longest last.
    [[nodiscard]] std::vector<Cookie> idle(const std::unordered_set<Cookie>& filled) const;

    /// Even of one that has ended since the look before.
    [[nodiscard]] std::optional<SocketSample> sample(Cookie cookie) const;
    [[nodiscard]] std::unordered_set<std::uint32_t> namespaces() const;
    [[nodiscard]] std::unordered_map<std::uint64_t, Cookie> cookies_by_inode() const;

    /// What the looks since the last call have to tell.
    [[nodiscard]] std::vector<Notice> take_notices();
    /// Since the last call: one of them has got a descriptor.
    [[nodiscard]] bool take_accepted();
    [[nodiscard]] bool is_followed(Cookie cookie) const { return followed_.contains(cookie); }
    [[nodiscard]] std::uint64_t answers() const { return answers_; }
    [[nodiscard]] std::uint64_t failed() const { return failed_; }

private:
    [[nodiscard]] std::vector<Cookie> ask_all();
    void poll(const std::vector<Cookie>& cookies);
    /// Returns those of them that hold unread data.
    std::vector<SocketState> ask(SocketTable& table, const std::vector<SocketState>& sockets);
    void end(Cookie cookie, std::uint64_t now_ns);

    const PolledTargets& targets_;
    std::uint64_t tick_ns_;
    std::uint64_t warn_after_ns_;
    std::unordered_map<Cookie, PolledSocket> sockets_;
    std::unordered_map<Cookie, SocketSample> ended_;  ///< since the last look
    std::unordered_set<Cookie> followed_;             ///< by whoever asks, as of the last look
    std::unordered_set<Cookie> lively_;  ///< the last sweep, or a look since, found new data
    std::vector<Notice> notices_;
    bool accepted_ = false;

    Pace sweeping_;  ///< looks at all watched sockets
    Pace looking_at_lively_;
    Pace looking_closely_;  ///< at those with unread data
    std::uint64_t answers_ = 0;
    std::uint64_t failed_ = 0;  ///< questions without an answer
};

}  // namespace drainwatch
