// Every way to read: what counts as a read, and that each segment is measured once.
#include "support/profile_run.hpp"
#include "support/scenario.hpp"

#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>

namespace drainwatch::live {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMessage = 100;
constexpr std::uint64_t kMessages = 200;
constexpr std::uint64_t kBytes = kMessage * kMessages;

/// What the target did, by its own count.
struct Calls {
    std::atomic<std::uint64_t> reads{0};
    std::atomic<std::uint64_t> empty{0};
    std::atomic<std::uint64_t> peeks{0};
    std::atomic<std::uint64_t> segments{0};  ///< that came, by the kernel's count
};

/// One call: how many bytes it took out of the socket, 0 for none; counts what it did.
using Path = std::function<ssize_t(int fd, Calls&)>;

/// Who makes them: an io_uring tries at once, finds nothing, and waits; its user does not know.
enum class EmptyReads { of_the_target, of_the_kernel };

using Buffer = std::array<char, 1000>;

ssize_t counted(ssize_t length, Calls& calls)
{
    calls.reads += length > 0 ? 1 : 0;
    calls.empty += length < 0 && errno == EAGAIN ? 1 : 0;
    return std::max<ssize_t>(length, 0);
}

/// Segments with data. A message that waits for its turn to be sent may become one with the next.
std::uint64_t segments_in(int fd)
{
    tcp_info info{};
    socklen_t size = sizeof(info);
    getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size);
    return info.tcpi_data_segs_in;
}

class ProfilePaths : public ::testing::Test {
protected:
    void SetUp() override
    {
        if (geteuid() != 0) {
            GTEST_SKIP() << "live tests need root";
        }
    }

    /// Reads kMessages messages as `path` does, and holds the profile against what it counted.
    void expect_counted(const Path& path, EmptyReads empty_reads = EmptyReads::of_the_target)
    {
        int results = memfd_create("calls", MFD_CLOEXEC);
        ASSERT_EQ(ftruncate(results, sizeof(Calls)), 0);
        void* shared = mmap(nullptr, sizeof(Calls), PROT_READ | PROT_WRITE, MAP_SHARED, results, 0);
        ASSERT_NE(shared, MAP_FAILED);
        auto* calls = new (shared) Calls;
        const std::string comm = unique_comm();
        Target target(comm, {}, Target::one_connection([&](int fd, Control& control) {
                          while (control.hold) {
                              nap(1ms);  // until it is measured
                          }
                          while (control.bytes_read < kBytes && !control.quit) {
                              const ssize_t length = path(fd, *calls);
                              calls->segments = segments_in(fd);
                              control.bytes_read += static_cast<std::uint64_t>(length);
                              if (length == 0) {
                                  nap(1ms);
                              }
                          }
                      }));
        target.control().hold = true;
        Sender sender(target.port(), {.message = kMessage, .spacing = 2ms});
        ASSERT_TRUE(wait_until([&] { return target.control().accepted > 0; }, 5s));
        ProfileRun run(comm);
        target.control().hold = false;
        for (std::uint64_t i = 0; i < kMessages; i++) {
            const std::array<char, kMessage> message{};
            ASSERT_EQ(send(sender.fd(), message.data(), message.size(), 0), kMessage);
            nap(1ms);
        }
        ASSERT_TRUE(wait_until([&] { return target.control().bytes_read >= kBytes; }, 5s));
        profile_ = run.stop();
        target.control().quit = true;
        ASSERT_TRUE(profile_.is_object());
        EXPECT_EQ(profile_["reads"], calls->reads.load());
        EXPECT_EQ(profile_["bytes"], kBytes);
        EXPECT_EQ(profile_["read_latency_ns"]["count"], calls->segments.load());
        EXPECT_GT(calls->segments, kMessages / 2) << "the scene is not what it should be";
        EXPECT_EQ(profile_["peeks"], calls->peeks.load());
        if (empty_reads == EmptyReads::of_the_target) {
            EXPECT_EQ(profile_["empty_reads"], calls->empty.load());
        }
        munmap(shared, sizeof(Calls));
        close(results);
    }

    Json profile_;
};

TEST_F(ProfilePaths, recv)
{
    expect_counted([](int fd, Calls& calls) {
        Buffer buffer;
        return counted(recv(fd, buffer.data(), buffer.size(), 0), calls);
    });
}

TEST_F(ProfilePaths, recv_that_finds_nothing)
{
    expect_counted([](int fd, Calls& calls) {
        Buffer buffer;
        return counted(recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT), calls);
    });
    EXPECT_GT(profile_["empty_reads"], 50);
}

TEST_F(ProfilePaths, read)
{
    expect_counted([](int fd, Calls& calls) {
        Buffer buffer;
        return counted(read(fd, buffer.data(), buffer.size()), calls);
    });
}

TEST_F(ProfilePaths, readv)
{
    expect_counted([](int fd, Calls& calls) {
        Buffer buffer;
        const std::array<iovec, 2> parts{{{buffer.data(), 10}, {buffer.data() + 10, 900}}};
        return counted(readv(fd, parts.data(), parts.size()), calls);
    });
}

TEST_F(ProfilePaths, recvmsg)
{
    expect_counted([](int fd, Calls& calls) {
        Buffer buffer;
        iovec part{buffer.data(), buffer.size()};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        return counted(recvmsg(fd, &message, 0), calls);
    });
}

/// Each of its messages is a read.
TEST_F(ProfilePaths, recvmmsg)
{
    expect_counted([](int fd, Calls& calls) {
        std::array<std::array<char, 40>, 4> buffers;
        std::array<iovec, 4> parts{};
        std::array<mmsghdr, 4> messages{};
        for (std::size_t i = 0; i < messages.size(); i++) {
            parts[i] = {buffers[i].data(), buffers[i].size()};
            messages[i].msg_hdr.msg_iov = &parts[i];
            messages[i].msg_hdr.msg_iovlen = 1;
        }
        const int got = recvmmsg(fd, messages.data(), messages.size(), MSG_WAITFORONE, nullptr);
        ssize_t bytes = 0;
        for (int i = 0; i < got; i++) {
            bytes += messages[static_cast<std::size_t>(i)].msg_len;
            calls.reads++;
        }
        calls.empty += got > 0 && got < 4 ? 1 : 0;  // the one that ended it
        return bytes;
    });
}

/// One read, however many segments it waits for.
TEST_F(ProfilePaths, wait_for_all)
{
    expect_counted([](int fd, Calls& calls) {
        Buffer buffer;
        return counted(recv(fd, buffer.data(), 4 * kMessage, MSG_WAITALL), calls);
    });
    EXPECT_EQ(profile_["reads"], kMessages / 4);
}

TEST_F(ProfilePaths, discarded_with_trunc)
{
    expect_counted([](int fd, Calls& calls) {
        Buffer buffer;
        return counted(recv(fd, buffer.data(), buffer.size(), MSG_TRUNC), calls);
    });
}

/// A peek takes nothing, and is no read.
TEST_F(ProfilePaths, peek_before_each_read)
{
    expect_counted([](int fd, Calls& calls) -> ssize_t {
        Buffer buffer;
        calls.peeks += recv(fd, buffer.data(), buffer.size(), MSG_PEEK) > 0 ? 1 : 0;
        return counted(recv(fd, buffer.data(), buffer.size(), 0), calls);
    });
    EXPECT_GT(profile_["peeks"], 50);
}

TEST_F(ProfilePaths, splice)
{
    std::array<int, 2> pipe{};
    ASSERT_EQ(pipe2(pipe.data(), O_CLOEXEC), 0);
    const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    expect_counted([&](int fd, Calls& calls) {
        const ssize_t length = ::splice(fd, nullptr, pipe[1], nullptr, 1000, 0);
        if (length > 0) {
            ::splice(pipe[0], nullptr, null, nullptr, static_cast<std::size_t>(length), 0);
        }
        return counted(length, calls);
    });
    close(pipe[0]);
    close(pipe[1]);
    close(null);
}

/// A ring of one entry, by system calls alone.
class Uring {
public:
    Uring()
    {
        fd_ = static_cast<int>(syscall(SYS_io_uring_setup, 1, &parameters_));
        if (fd_ < 0) {
            return;
        }
        const auto map = [&](std::size_t size, off_t offset) {
            void* at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, offset);
            return at == MAP_FAILED ? nullptr : static_cast<std::byte*>(at);
        };
        submissions_ = map(parameters_.sq_off.array + sizeof(unsigned), IORING_OFF_SQ_RING);
        completions_ = map(parameters_.cq_off.cqes + parameters_.cq_entries * sizeof(io_uring_cqe),
                           IORING_OFF_CQ_RING);
        entry_ = reinterpret_cast<io_uring_sqe*>(map(sizeof(io_uring_sqe), IORING_OFF_SQES));
    }

    [[nodiscard]] bool works() const { return fd_ >= 0 && submissions_ && completions_ && entry_; }

    ssize_t recv(int socket, void* buffer, unsigned size)
    {
        std::memset(entry_, 0, sizeof(*entry_));
        entry_->opcode = IORING_OP_RECV;
        entry_->fd = socket;
        entry_->addr = reinterpret_cast<std::uint64_t>(buffer);
        entry_->len = size;
        *at(submissions_, parameters_.sq_off.array) = 0;
        std::atomic_ref(*at(submissions_, parameters_.sq_off.tail))++;
        unsigned& head = *at(completions_, parameters_.cq_off.head);
        const std::atomic_ref tail(*at(completions_, parameters_.cq_off.tail));
        // It may come back before there is something, as when it was frozen or stopped meanwhile.
        for (unsigned to_submit = 1; tail == head;) {
            const auto submitted =
                syscall(SYS_io_uring_enter, fd_, to_submit, 1, IORING_ENTER_GETEVENTS, nullptr, 0);
            if (submitted < 0 && errno != EINTR && errno != EAGAIN) {
                return -1;
            }
            to_submit = submitted > 0 ? 0 : to_submit;
        }
        const auto* done = reinterpret_cast<io_uring_cqe*>(completions_ + parameters_.cq_off.cqes);
        const ssize_t result = done[head & *at(completions_, parameters_.cq_off.ring_mask)].res;
        std::atomic_ref(head)++;
        return result;
    }

private:
    static unsigned* at(std::byte* ring, unsigned offset)
    {
        return reinterpret_cast<unsigned*>(ring + offset);
    }

    io_uring_params parameters_{};
    int fd_ = -1;
    std::byte* submissions_ = nullptr;
    std::byte* completions_ = nullptr;
    io_uring_sqe* entry_ = nullptr;
};

TEST_F(ProfilePaths, io_uring)
{
    if (!Uring().works()) {
        GTEST_SKIP() << "this kernel gives no io_uring";
    }
    std::optional<Uring> ring;
    expect_counted(
        [&](int fd, Calls& calls) {
            if (!ring) {
                ring.emplace();
            }
            Buffer buffer;
            return counted(ring->recv(fd, buffer.data(), buffer.size()), calls);
        },
        EmptyReads::of_the_kernel);
}

}  // namespace
}  // namespace drainwatch::live
