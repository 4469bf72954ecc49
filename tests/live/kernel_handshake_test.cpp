// TLS handshakes that the kernel has a daemon do for it. NFS is the consumer: it calls the server,
// which says STARTTLS (RFC 9289), and lends the socket to the daemon, which is the target.
#include "support/handshake_agent.hpp"
#include "support/open_ssl.hpp"
#include "support/scenario.hpp"
#include "support/tls_peer.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>

namespace drainwatch::live {
namespace {

using namespace std::chrono_literals;

constexpr auto kLimit = 20s;

/// What the daemon has come to, and what the server has heard.
struct Progress {
    std::atomic<bool> ready{false};
    std::atomic<bool> done{false};
    std::atomic<bool> quit{false};
    std::atomic<std::uint32_t> handshakes{0};  ///< that the server has completed
    std::atomic<std::uint32_t> alerts{0};      ///< that the server has received
};

bool is_readable(int fd)
{
    pollfd ready{fd, POLLIN, 0};
    return poll(&ready, 1, std::chrono::milliseconds(kLimit).count()) > 0;
}

/// A call of procedure 0 with AUTH_TLS, on which the answer is STARTTLS.
bool answer_starttls(int fd)
{
    constexpr std::size_t kCallBytes = 44;
    constexpr std::size_t kFlavorAt = 28;
    constexpr std::uint8_t kAuthTls = 7;
    std::array<std::uint8_t, kCallBytes> call;
    if (!is_readable(fd) ||
        recv(fd, call.data(), call.size(), MSG_WAITALL) != static_cast<ssize_t>(call.size()) ||
        call[kFlavorAt + 3] != kAuthTls) {
        return false;
    }
    std::array<std::uint8_t, 36> reply{0x80, 0, 0, 32};   // the last fragment, and its length
    std::copy_n(call.begin() + 4, 4, reply.begin() + 4);  // whose answer
    reply[11] = 1;                                        // a reply; accepted; AUTH_NONE
    reply[23] = 8;
    std::memcpy(&reply[24], "STARTTLS", 8);
    return send(fd, reply.data(), reply.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(reply.size());
}

void count_alerts(int written, int /*version*/, int type, const void* /*bytes*/,
                  std::size_t /*length*/, void* /*session*/, void* progress)
{
    constexpr int kAlert = 21;
    if (written == 0 && type == kAlert) {
        static_cast<Progress*>(progress)->alerts++;
    }
}

/// How the daemon does its part, once it has the socket: returns the status.
using Part = std::function<int(const OpenSsl&, void* session, int fd)>;

/// The kernel's TLS is not given the keys: what NFS says afterwards, the server does not
/// understand.
int succeed(const OpenSsl& ssl, void* session, int fd)
{
    int ended = 0;
    while ((ended = ssl.SSL_do_handshake(session)) != 1 &&
           ssl.SSL_get_error(session, ended) == OpenSsl::kWantRead && is_readable(fd)) {
    }
    return ended == 1 ? 0 : EIO;
}

/// Hears what the server has to say to the hello, and is silent.
int give_up(const OpenSsl& ssl, void* session, int fd)
{
    std::array<char, 65536> answer;
    (void)ssl.SSL_do_handshake(session);
    return is_readable(fd) && recv(fd, answer.data(), answer.size(), 0) > 0 ? EACCES : EIO;
}

bool is_handshake(const Line& line)
{
    return line.event() == "tls_handshake";
}

class TlsForTheKernel : public Scenario {
protected:
    void SetUp() override
    {
        Scenario::SetUp();
        if (IsSkipped()) {
            return;
        }
        if (polls()) {
            GTEST_SKIP() << "the poll tier has no TLS facts";
        }
        if (!HandshakeAgent::open()) {
            GTEST_SKIP() << "this kernel lends nobody its sockets for handshakes";
        }
        std::ifstream lines("/proc/filesystems");
        const std::string known{std::istreambuf_iterator<char>(lines), {}};
        if (known.find("\tnfs4\n") == std::string::npos) {
            GTEST_SKIP() << "this kernel cannot mount NFS";
        }
        ssl_ = OpenSsl::load();
        if (ssl_ == nullptr || !has_program("openssl")) {
            GTEST_SKIP() << "OpenSSL is not installed";
        }
        files_.emplace();
        serve();
    }

    void TearDown() override
    {
        progress_->quit = true;
        if (server_) {
            server_->control().quit = true;
        }
        Scenario::TearDown();
    }

    void start_daemon(const Part& part)
    {
        daemon_.emplace(Process::fork([&] {
            prctl(PR_SET_NAME, comm().c_str());
            auto agent = HandshakeAgent::open();
            progress_->ready = true;
            const auto fd = agent->accept(kLimit);
            if (!fd) {
                return;
            }
            progress_->done = agent->done(*fd, part(*ssl_, ssl_->new_client(*fd), *fd));
            while (!progress_->quit) {
                nap(1ms);
            }
        }));
        ASSERT_TRUE(wait_until([&] { return progress_->ready.load(); }, 5s));
    }

    /// NFS wants its handshake, and the daemon has done its part of it. The mount itself does not
    /// succeed: the server knows no NFS. In a namespace of its own, it is gone with its process.
    void mount()
    {
        mount_.emplace(Process::fork([&] {
            const std::string options = fmt::format(
                "vers=4.2,proto=tcp,addr=127.0.0.1,clientaddr=127.0.0.1,port={},sec=sys,xprtsec="
                "tls,"
                "soft,timeo=100,retrans=1",
                server_->port());
            unshare(CLONE_NEWNS);
            ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
            const int failed =
                ::mount("127.0.0.1:/", files_->path("").c_str(), "nfs4", 0, options.c_str());
            _exit(failed != 0 ? errno : 0);
        }));
        ASSERT_TRUE(wait_until([&] { return progress_->done.load(); }, kLimit));
    }

    /// The errno of why it failed.
    [[nodiscard]] int wait_for_mount() { return mount_->wait(); }

    /// The one handshake that is told of.
    [[nodiscard]] Json only_handshake()
    {
        EXPECT_TRUE(watcher().wait_for(is_handshake, 3s));
        nap(500ms);  // for another
        EXPECT_EQ(finish(), 0);
        const auto lines = watcher().lines(is_handshake);
        EXPECT_EQ(lines.size(), 1U);
        return lines.empty() ? Json::object() : lines[0].json;
    }

    [[nodiscard]] Progress& progress() { return *progress_; }

private:
    void serve()
    {
        const auto body = [this](int listener, Control& control) {
            const int fd = accept(listener, nullptr, nullptr);
            if (answer_starttls(fd)) {
                void* session =
                    ssl_->new_server(fd, files_->path("key.pem"), files_->path("certificate.pem"));
                ssl_->set_message_callback(session, count_alerts, &*progress_);
                progress_->handshakes += ssl_->SSL_do_handshake(session) == 1;
            }
            read_all(fd, control);
            while (!control.quit) {
                nap(1ms);
            }
        };
        server_.emplace("nfs-server", Listen{}, body);
    }

    const OpenSsl* ssl_ = nullptr;
    std::optional<TlsFiles> files_;
    Shared<Progress> progress_;
    std::optional<Target> server_;
    std::optional<Process> daemon_;
    std::optional<Process> mount_;
};

TEST_F(TlsForTheKernel, handshake_that_succeeds)
{
    start_daemon(succeed);
    watch();
    mount();
    const Json line = only_handshake();
    EXPECT_EQ(line["result"], "completed");
    EXPECT_EQ(line["role"], "client");
    EXPECT_EQ(line["offered_max"], "TLSv1.3");
    EXPECT_EQ(line["selected"], "TLSv1.3");
    EXPECT_EQ(line["process"]["comm"], comm());
    EXPECT_TRUE(wait_until([&] { return progress().handshakes == 1; }, 5s));
}

/// Of every socket, this one is followed from its beginning: the handshake comes after the call.
TEST_F(TlsForTheKernel, handshake_on_a_connection_that_is_watched_already)
{
    start_daemon(succeed);
    watch_all({});
    mount();
    const Json line = only_handshake();
    EXPECT_EQ(line["result"], "completed");
    EXPECT_EQ(line["role"], "client");
    EXPECT_EQ(line["offered_max"], "TLSv1.3");
}

/// The hellos are said, and then nothing more: only the kernel hears of it.
TEST_F(TlsForTheKernel, handshake_that_the_daemon_gives_up)
{
    start_daemon(give_up);
    watch();
    mount();
    const Json line = only_handshake();
    EXPECT_EQ(line["result"], "refused");
    EXPECT_EQ(line["role"], "client");
    EXPECT_EQ(line["selected"], "TLSv1.3");
    EXPECT_EQ(line["process"]["comm"], comm());
    EXPECT_TRUE(watcher().lines(event_is("tls_alert")).empty());
    EXPECT_EQ(progress().handshakes, 0U);
    EXPECT_EQ(progress().alerts, 0U);
    EXPECT_EQ(wait_for_mount(), EACCES);
}

/// Then NFS closes the connection, and there is no more to be seen than that.
TEST_F(TlsForTheKernel, without_the_kernels_word)
{
    start_daemon(give_up);
    watch({"--without", "handshake_complete"});
    mount();
    EXPECT_EQ(only_handshake()["result"], "closed");
}

TEST_F(TlsForTheKernel, without_knowing_who_takes_the_socket)
{
    start_daemon(succeed);
    watch({"--without", "handshake_cmd_accept"});
    mount();
    nap(2s);  // a full look finds it, too late
    EXPECT_EQ(finish(), 0);
    EXPECT_TRUE(watcher().lines(is_handshake).empty());
}

/// Each is attached, or `start` says that it is missing.
TEST(TlsForTheKernelHooks, are_there_or_said_to_be_missing)
{
    if (geteuid() != 0 || polls()) {
        GTEST_SKIP() << "needs root, and BPF";
    }
    const bool are_there = HandshakeAgent::open().has_value();
    Watcher watcher({"--process", unique_comm(), "--duration", "100s"});
    const auto start = watcher.wait_for(event_is("start"), 5s);
    ASSERT_TRUE(start);
    for (const std::string hook : {"handshake_cmd_accept", "handshake_complete"}) {
        const Json& attached = start->json["programs"];
        const Json& missing = start->json["missing"];
        EXPECT_EQ(std::count(attached.begin(), attached.end(), hook), are_there ? 1 : 0) << hook;
        EXPECT_EQ(std::any_of(missing.begin(), missing.end(),
                              [&](const Json& part) { return part["program"] == hook; }),
                  !are_there)
            << hook;
    }
    EXPECT_EQ(watcher.stop(), 0);
}

}  // namespace
}  // namespace drainwatch::live
