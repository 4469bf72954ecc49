#include "poll/diag_table.hpp"

#include "drainwatch/socket_track.h"

#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <cerrno>
#include <cstring>

namespace drainwatch {
namespace {

constexpr auto kName = "the kernel's table of sockets (sock_diag)";

/// The kernel answers in parts of at most 32 KiB.
constexpr std::size_t kBufferBytes = std::size_t{64} << 10;

/// Answers wait in our receive buffer until all questions of a batch are put: so few that they
/// fit.
constexpr std::size_t kBatch = 32;

constexpr std::uint32_t bit(int state)
{
    return 1U << state;
}

/// Connections that may hold unread data: not those that are being made or are over.
constexpr std::uint32_t kConnections = bit(DW_TCP_ESTABLISHED) | bit(DW_TCP_FIN_WAIT1) |
                                       bit(DW_TCP_FIN_WAIT2) | bit(DW_TCP_CLOSE_WAIT) |
                                       bit(DW_TCP_LAST_ACK) | bit(DW_TCP_CLOSING);

/// The older form has no family in a dump, and lists all. What a walk costs is the table's size.
constexpr std::uint8_t kAnyFamily = AF_UNSPEC;

/// The messages of a datagram, each with its payload.
class Messages {
public:
    explicit Messages(std::span<const std::byte> bytes) : rest_(bytes) {}

    [[nodiscard]] bool next()
    {
        if (rest_.size() < sizeof(header)) {
            return false;
        }
        std::memcpy(&header, rest_.data(), sizeof(header));
        if (header.nlmsg_len < NLMSG_HDRLEN || header.nlmsg_len > rest_.size()) {
            return false;
        }
        payload = rest_.subspan(NLMSG_HDRLEN, header.nlmsg_len - NLMSG_HDRLEN);
        rest_ = rest_.subspan(std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), rest_.size()));
        return true;
    }

    nlmsghdr header{};
    std::span<const std::byte> payload;

private:
    std::span<const std::byte> rest_;
};

/// The error number in an NLMSG_ERROR, or at the end of a dump.
int error_in(std::span<const std::byte> payload)
{
    int error = 0;
    if (payload.size() >= sizeof(error)) {
        std::memcpy(&error, payload.data(), sizeof(error));
    }
    return -error;
}

/// The socket does not exist any more, or another has its place. Any other error, such as a lack
/// of memory, says nothing about the socket.
bool is_gone(int error)
{
    return error == ENOENT || error == ESTALE;
}

}  // namespace

Result<std::unique_ptr<DiagTable>> DiagTable::open(DiagForm form, bool may_use_compat)
{
    File socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
    if (!socket) {
        return tl::unexpected(system_error("open", kName, errno));
    }
    // The kernel answers at once; should it ever not, that is an error and no hang.
    const timeval patience{2, 0};
    setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    std::unique_ptr<DiagTable> table(new DiagTable(std::move(socket), form));
    table->buffer_.resize(kBufferBytes);
    if (auto answered = table->try_dump({form, AF_INET}); !answered) {
        return tl::unexpected(answered.error());
    }
    const Walk through_all{DiagForm::compat, kAnyFamily};
    if (form == DiagForm::compat || (may_use_compat && table->try_dump(through_all))) {
        table->walks_ = {through_all};
    } else {
        table->walks_ = {{form, AF_INET}, {form, AF_INET6}};
    }
    return table;
}

/// Listeners are few: a cheap question to see whether it is understood.
Result<void> DiagTable::try_dump(const Walk& walk)
{
    return dump(walk, bit(DW_TCP_LISTEN), {}, [](const SocketState&) {});
}

Result<void> DiagTable::send(std::span<const std::byte> message)
{
    if (::send(socket_.get(), message.data(), message.size(), 0) < 0) {
        return tl::unexpected(system_error("ask", kName, errno));
    }
    return {};
}

Result<std::span<const std::byte>> DiagTable::receive()
{
    while (true) {
        const ssize_t length = recv(socket_.get(), buffer_.data(), buffer_.size(), 0);
        if (length >= 0) {
            return std::span<const std::byte>(buffer_).first(static_cast<std::size_t>(length));
        }
        if (errno != EINTR) {
            return tl::unexpected(system_error("read", kName, errno));
        }
    }
}

Result<void> DiagTable::query_batch(std::span<const SocketState> sockets,
                                    std::vector<std::optional<SocketState>>& states)
{
    const std::uint32_t first = sequence_ + 1;
    std::vector<std::byte> questions;
    for (const SocketState& socket : sockets) {
        const auto question = exact_request(form_, socket, ++sequence_);
        questions.insert(questions.end(), question.begin(), question.end());
    }
    if (auto sent = send(questions); !sent) {
        return sent;
    }
    int failed = 0;
    const std::size_t base = states.size();
    states.resize(base + sockets.size());
    for (std::size_t answered = 0; answered < sockets.size();) {
        const auto bytes = receive();
        if (!bytes) {
            return tl::unexpected(bytes.error());
        }
        for (Messages messages(*bytes); messages.next();) {
            const std::uint32_t index = messages.header.nlmsg_seq - first;
            if (index >= sockets.size()) {
                continue;  // of an earlier question that was given up
            }
            answered++;
            if (messages.header.nlmsg_type == NLMSG_ERROR) {
                const int error = error_in(messages.payload);
                failed = is_gone(error) ? failed : error;
                continue;
            }
            states[base + index] = parse_socket(messages.payload);
            undecoded_ += !states[base + index];
        }
    }
    if (failed != 0) {
        return tl::unexpected(system_error("ask", kName, failed));
    }
    return {};
}

Result<std::vector<std::optional<SocketState>>> DiagTable::query(
    const std::vector<SocketState>& sockets)
{
    std::vector<std::optional<SocketState>> states;
    states.reserve(sockets.size());
    std::span<const SocketState> rest(sockets);
    while (!rest.empty()) {
        const auto batch = rest.first(std::min(kBatch, rest.size()));
        if (auto asked = query_batch(batch, states); !asked) {
            return tl::unexpected(asked.error());
        }
        rest = rest.subspan(batch.size());
    }
    return states;
}

Result<void> DiagTable::dump(const Walk& walk, std::uint32_t states,
                             const std::vector<std::uint16_t>& ports,
                             const std::function<void(const SocketState&)>& found)
{
    const std::uint32_t sequence = ++sequence_;
    if (auto sent = send(dump_request(walk.form, walk.family, states, ports, sequence)); !sent) {
        return sent;
    }
    while (true) {
        const auto bytes = receive();
        if (!bytes) {
            return tl::unexpected(bytes.error());
        }
        for (Messages messages(*bytes); messages.next();) {
            if (messages.header.nlmsg_seq != sequence) {
                continue;
            }
            const bool done = messages.header.nlmsg_type == NLMSG_DONE;
            if (done || messages.header.nlmsg_type == NLMSG_ERROR) {
                const int error = error_in(messages.payload);
                if (error != 0) {
                    return tl::unexpected(system_error("list", kName, error));
                }
                return {};
            }
            if (const auto socket = parse_socket(messages.payload)) {
                found(*socket);
            } else {
                undecoded_++;
            }
        }
    }
}

Result<void> DiagTable::list(const std::vector<std::uint16_t>& ports,
                             const std::function<void(const SocketState&)>& found)
{
    for (const Walk& walk : walks_) {
        if (auto listed = dump(walk, bit(DW_TCP_LISTEN), {}, found); !listed) {
            return listed;
        }
        if (auto listed = dump(walk, kConnections, ports, found); !listed) {
            return listed;
        }
    }
    return {};
}

}  // namespace drainwatch
