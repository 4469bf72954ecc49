#pragma once

#include "drainwatch/result.hpp"
#include "host/file.hpp"
#include "host/side_thread.hpp"

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace drainwatch {

/// A socket to ask sock_diag(7) by.
///
/// To tell a socket's tcp_info the kernel takes its lock (since 4.10), and a reader that waits for
/// a page of its buffer in the midst of recv() holds that lock. Then the question does not come
/// back before the page is there: seconds on a host that swaps, or never. Before 6.9 nobody else's
/// does either (sock_diag_mutex). So a thread of its own asks.
class DiagSocket {
public:
    /// For errors.
    static constexpr auto kName = "the kernel's table of sockets (sock_diag)";

    /// In the calling thread's network namespace.
    [[nodiscard]] static Result<DiagSocket> open();

    /// Puts the questions in `message`; the kernel answers before it comes back. False if it does
    /// not come back soon: then this socket is_busy() until it does. Not while is_busy().
    [[nodiscard]] Result<bool> send(std::vector<std::byte> message);
    [[nodiscard]] bool is_busy() const { return asking_.is_busy(); }

    /// The next part of the answer, valid until the next call.
    [[nodiscard]] Result<std::span<const std::byte>> receive();
    /// The same if it has come already, even while is_busy().
    [[nodiscard]] std::optional<std::span<const std::byte>> receive_now();

private:
    explicit DiagSocket(File file);

    std::shared_ptr<const File> file_;  ///< of a question that does not come back, too
    SideThread asking_;
    bool was_late_ = false;  ///< answers to what was asked before may still come
    std::vector<std::byte> buffer_;
};

}  // namespace drainwatch
