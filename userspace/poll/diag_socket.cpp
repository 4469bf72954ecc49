#include "poll/diag_socket.hpp"

#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <cerrno>
#include <utility>

namespace drainwatch {
namespace {

using namespace std::chrono_literals;

/// The kernel answers in parts of at most 32 KiB.
constexpr std::size_t kBufferBytes = std::size_t{64} << 10;

/// To throw away what is left of a list means to have the kernel make it.
constexpr auto kPatienceWithLeftovers = 100ms;

/// Returns its length, or the error as a negative number.
ssize_t receive_into(std::vector<std::byte>& buffer, const File& file, int flags)
{
    while (true) {
        const ssize_t length = recv(file.get(), buffer.data(), buffer.size(), flags);
        if (length >= 0) {
            return length;
        }
        if (errno != EINTR) {
            return -errno;
        }
    }
}

}  // namespace

DiagSocket::DiagSocket(SideThreads& threads, File file)
    : threads_(&threads), file_(std::make_shared<const File>(std::move(file)))
{}

Result<DiagSocket> DiagSocket::open(SideThreads& threads)
{
    File file(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
    if (!file) {
        return tl::unexpected(system_error("open", kName, errno));
    }
    // What is waited for has come already; should it ever not have, that is an error and no hang.
    const timeval patience{2, 0};
    setsockopt(file.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return DiagSocket(threads, std::move(file));
}

bool DiagSocket::run(std::function<void()> task, std::chrono::milliseconds patience)
{
    call_ = threads_->run(std::move(task), patience);
    const bool in_time = call_ && call_->has_ended();
    has_leftovers_ = has_leftovers_ || !in_time;
    return in_time;
}

std::shared_ptr<DiagSocket::Buffer> DiagSocket::buffer()
{
    if (!buffer_) {
        buffer_ = std::make_shared<Buffer>(kBufferBytes);
    }
    return buffer_;
}

bool DiagSocket::is_free()
{
    if (is_waiting()) {
        return false;
    }
    if (!has_leftovers_) {
        return true;
    }
    const auto drain = [file = file_] {
        Buffer buffer(kBufferBytes);
        while (receive_into(buffer, *file, MSG_DONTWAIT) >= 0) {
        }
    };
    has_leftovers_ = !run(drain, kPatienceWithLeftovers);
    return !has_leftovers_;
}

Result<bool> DiagSocket::send(std::vector<std::byte> message, std::chrono::milliseconds patience)
{
    const auto error = std::make_shared<int>(0);
    const auto ask = [file = file_, message = std::move(message), error] {
        *error = ::send(file->get(), message.data(), message.size(), 0) < 0 ? errno : 0;
    };
    if (!run(ask, patience)) {
        return false;
    }
    if (*error != 0) {
        return tl::unexpected(system_error("ask", kName, *error));
    }
    return true;
}

Result<std::span<const std::byte>> DiagSocket::receive()
{
    const ssize_t length = receive_into(*buffer(), *file_, 0);
    if (length < 0) {
        has_leftovers_ = true;
        return tl::unexpected(system_error("read", kName, static_cast<int>(-length)));
    }
    return std::span<const std::byte>(*buffer_).first(static_cast<std::size_t>(length));
}

std::optional<std::span<const std::byte>> DiagSocket::receive_now()
{
    const ssize_t length = receive_into(*buffer(), *file_, MSG_DONTWAIT);
    if (length < 0) {
        return std::nullopt;
    }
    return std::span<const std::byte>(*buffer_).first(static_cast<std::size_t>(length));
}

Result<std::optional<std::span<const std::byte>>> DiagSocket::receive_part(
    std::chrono::milliseconds patience)
{
    const auto length = std::make_shared<ssize_t>(0);
    const auto take = [file = file_, buffer = buffer(), length] {
        *length = receive_into(*buffer, *file, 0);
    };
    if (!run(take, patience)) {
        buffer_ = nullptr;  // it may still be written to
        return std::nullopt;
    }
    if (*length < 0) {
        has_leftovers_ = true;
        return tl::unexpected(system_error("read", kName, static_cast<int>(-*length)));
    }
    return std::span<const std::byte>(*buffer_).first(static_cast<std::size_t>(*length));
}

}  // namespace drainwatch
