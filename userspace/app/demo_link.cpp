#include "app/demo_link.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <thread>
#include <utility>

namespace drainwatch {
namespace {

using namespace std::chrono_literals;

constexpr auto kReadsFirst = 2s;
constexpr auto kStandsStill = 6s;
constexpr auto kReadsAgain = 3s;
constexpr int kReceiveBuffer = 96 * 1024;
constexpr std::size_t kMessage = 150;
constexpr auto kMessageSpacing = 4167us;  // 240 a second

struct LinkSockets {
    File listener;
    File sender;
    File reader;
};

Result<LinkSockets> connect_loopback(std::uint16_t& port)
{
    LinkSockets link;
    link.listener = File(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    setsockopt(link.listener.get(), SOL_SOCKET, SO_RCVBUF, &kReceiveBuffer, sizeof(kReceiveBuffer));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (bind(link.listener.get(), generic, length) != 0 || listen(link.listener.get(), 1) != 0 ||
        getsockname(link.listener.get(), generic, &length) != 0) {
        return tl::unexpected(system_error("listen on", "loopback", errno));
    }
    port = ntohs(address.sin_port);
    link.sender = File(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (connect(link.sender.get(), generic, length) != 0) {
        return tl::unexpected(system_error("connect to", "loopback", errno));
    }
    link.reader = File(accept(link.listener.get(), nullptr, nullptr));
    if (!link.reader) {
        return tl::unexpected(system_error("accept on", "loopback", errno));
    }
    return link;
}

void send_messages(int fd, const std::atomic<bool>& done)
{
    const std::array<char, kMessage> message{};
    auto next = std::chrono::steady_clock::now();
    while (!done) {
        send(fd, message.data(), message.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        next += kMessageSpacing;
        std::this_thread::sleep_until(next);
    }
}

void read_for(int fd, std::chrono::milliseconds time)
{
    std::array<char, 4096> buffer;
    const auto until = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < until) {
        recv(fd, buffer.data(), buffer.size(), 0);
    }
}

void play(const LinkSockets& link)
{
    std::atomic<bool> done = false;
    std::thread sender([&] { send_messages(link.sender.get(), done); });
    std::fprintf(stderr, "demo: a link at 240 messages a second, and a reader that keeps up\n");
    read_for(link.reader.get(), kReadsFirst);
    std::fprintf(stderr, "demo: the reader stops reading now\n");
    std::this_thread::sleep_for(kStandsStill);
    std::fprintf(stderr, "demo: the reader goes on\n");
    read_for(link.reader.get(), kReadsAgain);
    done = true;
    sender.join();
}

[[noreturn]] void live(const File& start, const File& report)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "demo-reader");
    std::uint16_t port = 0;
    const auto link = connect_loopback(port);
    if (!link || write(report.get(), &port, sizeof(port)) != sizeof(port)) {
        _exit(1);
    }
    char go = 0;
    if (read(start.get(), &go, 1) == 1) {
        play(*link);
    }
    _exit(0);
}

}  // namespace

Result<DemoLink> DemoLink::start()
{
    std::array<int, 2> start{};
    std::array<int, 2> report{};
    if (pipe(start.data()) != 0 || pipe(report.data()) != 0) {
        return tl::unexpected(system_error("open", "a pipe", errno));
    }
    File start_read(start[0]);
    File start_write(start[1]);
    File report_read(report[0]);
    File report_write(report[1]);
    DemoLink link;
    link.pid_ = fork();
    if (link.pid_ < 0) {
        return tl::unexpected(system_error("fork", "the demo's link", errno));
    }
    if (link.pid_ == 0) {
        start_write = File();
        live(start_read, report_write);
    }
    report_write = File();
    if (read(report_read.get(), &link.port_, sizeof(link.port_)) != sizeof(link.port_)) {
        return fail("the demo cannot make a link on loopback: is the interface lo up?");
    }
    link.start_ = std::move(start_write);
    return link;
}

DemoLink::DemoLink(DemoLink&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), port_(other.port_), start_(std::move(other.start_))
{}

DemoLink::~DemoLink()
{
    if (pid_ > 0) {
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
    }
}

void DemoLink::go()
{
    const char byte = 1;
    if (write(start_.get(), &byte, 1) != 1) {
        std::fprintf(stderr, "demo: the link has ended\n");
    }
}

}  // namespace drainwatch
