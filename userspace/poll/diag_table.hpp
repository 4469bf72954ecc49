#pragma once

#include "poll/diag_message.hpp"
#include "poll/diag_socket.hpp"
#include "poll/socket_table.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace drainwatch {

/// The table through sock_diag(7). A socket whose lock is held for long is asked for in another
/// way, as long as that lasts: with its queue, but without its memory and tcp_info.
class DiagTable final : public SocketTable {
public:
    /// In the calling thread's network namespace. `without_locks` is a table of the same namespace
    /// that takes no socket's lock; there may be none. `threads` ask.
    [[nodiscard]] static Result<std::unique_ptr<DiagTable>> open(
        DiagForm form, std::unique_ptr<SocketTable> without_locks, SideThreads& threads);

    /// Before anything else is asked. Fails where the kernel refuses the form. Lists are asked for
    /// by compat, if that may be used and works: it walks but once for both families.
    [[nodiscard]] Result<void> choose_walks(bool may_use_compat);

    [[nodiscard]] Result<std::vector<std::optional<SocketState>>> query(
        const std::vector<SocketState>& sockets) override;
    [[nodiscard]] Result<void> list(const std::vector<std::uint16_t>& ports,
                                    const std::function<void(const SocketState&)>& found) override;
    [[nodiscard]] std::uint64_t undecoded() const override;

private:
    /// A dump. compat lists both families, v2 the one that is asked for.
    struct Walk {
        DiagForm form;
        std::uint8_t family;
    };

    /// A query that is under way.
    struct Query {
        const std::vector<SocketState>& sockets;
        std::vector<std::optional<SocketState>>& states;
    };
    /// Questions put at once, and what came of them.
    struct Batch;

    DiagTable(DiagForm form, std::unique_ptr<SocketTable> without_locks)
        : form_(form), without_locks_(std::move(without_locks))
    {}

    /// One of the first `most`.
    [[nodiscard]] std::optional<std::size_t> free_line(std::size_t most);
    [[nodiscard]] Result<void> ask(std::size_t line, WithInfo info, Batch& batch);
    void take(std::span<const std::byte> answers, Batch& batch);
    /// Returns those that are not answered.
    [[nodiscard]] Result<std::vector<std::size_t>> ask_for(const Query& query,
                                                           const std::vector<std::size_t>& which,
                                                           WithInfo info);
    [[nodiscard]] Result<void> ask_without_locks(const Query& query,
                                                 const std::vector<std::size_t>& which);
    /// False if it does not come to its end soon.
    [[nodiscard]] Result<bool> dump(const Walk& walk, std::uint32_t states,
                                    const std::vector<std::uint16_t>& ports,
                                    const std::function<void(const SocketState&)>& found);
    [[nodiscard]] Result<bool> try_dump(const Walk& walk);

    DiagForm form_;
    std::unique_ptr<SocketTable> without_locks_;
    std::vector<DiagSocket> lines_;                    ///< one that hangs leaves the others
    std::unordered_map<Cookie, std::size_t> held_up_;  ///< sockets, by the line that waits for them
    std::vector<Walk> walks_;                          ///< that list every socket once
    std::uint32_t sequence_ = 0;
    std::uint64_t undecoded_ = 0;
};

}  // namespace drainwatch
