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
    /// In the calling thread's network namespace. Fails where the kernel refuses the form. Lists
    /// are asked for by compat, if that may be used and works: it walks but once for both families.
    [[nodiscard]] static Result<std::unique_ptr<DiagTable>> open(DiagForm form,
                                                                 bool may_use_compat);

    [[nodiscard]] Result<std::vector<std::optional<SocketState>>> query(
        const std::vector<SocketState>& sockets) override;
    [[nodiscard]] Result<void> list(const std::vector<std::uint16_t>& ports,
                                    const std::function<void(const SocketState&)>& found) override;
    [[nodiscard]] std::uint64_t undecoded() const override { return undecoded_; }

private:
    /// A dump. compat lists both families, v2 the one that is asked for.
    struct Walk {
        DiagForm form;
        std::uint8_t family;
    };

    DiagTable(File socket, DiagForm form) : socket_(std::move(socket)), form_(form) {}

    [[nodiscard]] Result<void> send(std::span<const std::byte> message);
    [[nodiscard]] Result<std::span<const std::byte>> receive();
    [[nodiscard]] Result<void> query_batch(std::span<const SocketState> sockets,
                                           std::vector<std::optional<SocketState>>& states);
    [[nodiscard]] Result<void> dump(const Walk& walk, std::uint32_t states,
                                    const std::vector<std::uint16_t>& ports,
                                    const std::function<void(const SocketState&)>& found);
    [[nodiscard]] Result<void> try_dump(const Walk& walk);

    File socket_;
    DiagForm form_;
    std::vector<Walk> walks_;  ///< that list every socket once
    std::uint32_t sequence_ = 0;
    std::uint64_t undecoded_ = 0;
    std::vector<std::byte> buffer_;
};

}  // namespace drainwatch
