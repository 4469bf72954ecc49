#pragma once

#include "drainwatch/result.hpp"
#include "host/file.hpp"
#include "host/side_threads.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
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
/// does either (sock_diag_mutex, inet_diag_table_mutex). So another thread asks.
class DiagSocket {
public:
    /// For errors.
    static constexpr auto kName = "the kernel's table of sockets (sock_diag)";

    /// In the calling thread's network namespace.
    [[nodiscard]] static Result<DiagSocket> open(SideThreads& threads);

    /// Nothing that was asked by it waits for an answer. What has come since of an answer that was
    /// not waited for is thrown away.
    [[nodiscard]] bool is_free();
    /// What was asked has not come back.
    [[nodiscard]] bool is_waiting() const { return call_ && !call_->has_ended(); }

    /// Puts a question, or several. False if that does not come back soon, or no thread is to be
    /// had. Only if it is_free().
    [[nodiscard]] Result<bool> send(std::vector<std::byte> message,
                                    std::chrono::milliseconds patience);

    /// The next part of the answers to questions about single sockets, which have come when send()
    /// comes back. Valid until the next call, as below.
    [[nodiscard]] Result<std::span<const std::byte>> receive();
    /// The same if it has come already, even if send() has not come back.
    [[nodiscard]] std::optional<std::span<const std::byte>> receive_now();

    /// The next part of a list, which the kernel makes as it is taken. Nothing if that does not
    /// come back soon.
    [[nodiscard]] Result<std::optional<std::span<const std::byte>>> receive_part(
        std::chrono::milliseconds patience);

private:
    using Buffer = std::vector<std::byte>;

    DiagSocket(SideThreads& threads, File file);

    [[nodiscard]] bool run(std::function<void()> task, std::chrono::milliseconds patience);
    [[nodiscard]] std::shared_ptr<Buffer> buffer();

    SideThreads* threads_;
    std::shared_ptr<const File> file_;  ///< of a call that does not come back, too
    std::shared_ptr<Buffer> buffer_;    ///< the same; none before it is needed
    std::shared_ptr<const SideThreads::Call> call_;
    bool has_leftovers_ = false;  ///< of what was asked before
};

}  // namespace drainwatch
