#include "poll/diag_socket.hpp"

#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <cerrno>
#include <chrono>
#include <utility>

namespace drainwatch {
namespace {

using namespace std::chrono_literals;

/// The kernel answers in parts of at most 32 KiB.
constexpr std::size_t kBufferBytes = std::size_t{64} << 10;

/// Two ticks as they are by default; a question takes microseconds, and a thread that waits for a
/// CPU may take milliseconds.
constexpr auto kPatience = 100ms;

}  // namespace

DiagSocket::DiagSocket(File file)
    : file_(std::make_shared<const File>(std::move(file))), buffer_(kBufferBytes)
{}

Result<DiagSocket> DiagSocket::open()
{
    File file(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
    if (!file) {
        return tl::unexpected(system_error("open", kName, errno));
    }
    // The kernel has answered when it comes back; should it ever not have, that is an error and
    // no hang.
    const timeval patience{2, 0};
    setsockopt(file.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return DiagSocket(std::move(file));
}

Result<bool> DiagSocket::send(std::vector<std::byte> message)
{
    // The kernel begins no dump while another is under way.
    while (was_late_ && receive_now()) {
    }
    was_late_ = false;
    const auto error = std::make_shared<int>(0);
    const auto ask = [file = file_, message = std::move(message), error] {
        *error = ::send(file->get(), message.data(), message.size(), 0) < 0 ? errno : 0;
    };
    if (!asking_.run(ask, kPatience)) {
        was_late_ = true;
        return false;
    }
    if (*error != 0) {
        return tl::unexpected(system_error("ask", kName, *error));
    }
    return true;
}

Result<std::span<const std::byte>> DiagSocket::receive()
{
    while (true) {
        const ssize_t length = recv(file_->get(), buffer_.data(), buffer_.size(), 0);
        if (length >= 0) {
            return std::span<const std::byte>(buffer_).first(static_cast<std::size_t>(length));
        }
        if (errno != EINTR) {
            return tl::unexpected(system_error("read", kName, errno));
        }
    }
}

std::optional<std::span<const std::byte>> DiagSocket::receive_now()
{
    const ssize_t length = recv(file_->get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (length < 0) {
        return std::nullopt;
    }
    return std::span<const std::byte>(buffer_).first(static_cast<std::size_t>(length));
}

}  // namespace drainwatch
