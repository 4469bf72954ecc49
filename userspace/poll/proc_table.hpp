#pragma once

#include "host/file.hpp"
#include "poll/socket_table.hpp"

#include <memory>
#include <string>

namespace drainwatch {

/// The table through /proc/net/tcp and tcp6, for kernels and sandboxes that refuse sock_diag. Has
/// to be read as a whole each time. Takes no socket's lock. A socket that it lists has the cookie
/// of its addresses; one that is asked for keeps its own.
class ProcTable final : public SocketTable {
public:
    /// `directory`: "/proc/<pid>/net" of a process in the namespace. The files stay open, so that
    /// the process may end before the namespace does.
    [[nodiscard]] static Result<std::unique_ptr<ProcTable>> open(const std::string& directory);

    [[nodiscard]] Result<std::vector<std::optional<SocketState>>> query(
        const std::vector<SocketState>& sockets) override;
    [[nodiscard]] Result<void> list(const std::vector<std::uint16_t>& ports,
                                    const std::function<void(const SocketState&)>& found) override;
    [[nodiscard]] std::uint64_t undecoded() const override { return undecoded_; }

private:
    ProcTable(File v4, File v6) : v4_(std::move(v4)), v6_(std::move(v6)) {}

    [[nodiscard]] Result<void> list_family(int family, const std::vector<std::uint16_t>& ports,
                                           const std::function<void(const SocketState&)>& found);

    File v4_;
    File v6_;  ///< none on a kernel without IPv6
    std::uint64_t undecoded_ = 0;
};

}  // namespace drainwatch
