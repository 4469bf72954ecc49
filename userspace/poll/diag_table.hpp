#pragma once

#include "host/file.hpp"
#include "poll/diag_message.hpp"
#include "poll/socket_table.hpp"

#include <memory>
#include <span>

namespace drainwatch {

/// The table through sock_diag(7).
class DiagTable final : public SocketTable {
public:
    /// In the calling thread's network namespace. Fails where the kernel refuses the form.
    [[nodiscard]] static Result<std::unique_ptr<DiagTable>> open(DiagForm form);

    [[nodiscard]] Result<std::vector<std::optional<SocketState>>> query(
        const std::vector<SocketState>& sockets) override;
    [[nodiscard]] Result<void> list(const std::vector<std::uint16_t>& ports,
                                    const std::function<void(const SocketState&)>& found) override;
    [[nodiscard]] std::uint64_t undecoded() const override { return undecoded_; }

private:
    DiagTable(File socket, DiagForm form) : socket_(std::move(socket)), form_(form) {}

    [[nodiscard]] Result<void> send(std::span<const std::byte> message);
    [[nodiscard]] Result<std::span<const std::byte>> receive();
    [[nodiscard]] Result<void> query_batch(std::span<const SocketState> sockets,
                                           std::vector<std::optional<SocketState>>& states);
    [[nodiscard]] Result<void> dump(std::uint8_t family, std::uint32_t states,
                                    const std::vector<std::uint16_t>& ports,
                                    const std::function<void(const SocketState&)>& found);

    File socket_;
    DiagForm form_;
    std::uint32_t sequence_ = 0;
    std::uint64_t undecoded_ = 0;
    std::vector<std::byte> buffer_;
};

}  // namespace drainwatch
