// Every socket of the target, however it came by it.
#include "host/file.hpp"
#include "support/namespace.hpp"
#include "support/scenario.hpp"

#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <array>
#include <csignal>
#include <filesystem>
#include <vector>

namespace drainwatch::live {
namespace {

using namespace std::chrono_literals;

class Ownership : public Scenario {
protected:
    /// Every stall is noticed by its age, within a tenth of a second.
    void expect_stall_of(const Sender& sender)
    {
        const auto warning = watcher().wait_for(about(sender, is_trouble), 4s);
        ASSERT_TRUE(warning) << "no warning";
        EXPECT_EQ(warning->json["event"], "not_draining");
    }

    /// The reader stops until the window closes; the socket is named by this address.
    void expect_zero_at(const std::string& address)
    {
        nap(1s);
        control().hold = true;
        wait_for_zero(10s);
        expect_warned_before_zero();
        const std::string local = watcher().lines(is_trouble).front().json["socket"]["local"];
        EXPECT_EQ(local, address + ":" + std::to_string(target().port()));
    }
};

const Flow kSlow{.message = 150, .spacing = 20'000us};

void send_descriptor(int over, int fd)
{
    char byte = 0;
    iovec data{&byte, 1};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> space{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = space.data();
    message.msg_controllen = space.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    *reinterpret_cast<int*>(CMSG_DATA(header)) = fd;
    sendmsg(over, &message, 0);
}

int receive_descriptor(int over)
{
    char byte = 0;
    iovec data{&byte, 1};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> space{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = space.data();
    message.msg_controllen = space.size();
    if (recvmsg(over, &message, 0) < 0) {
        return -1;
    }
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    return header != nullptr ? *reinterpret_cast<const int*>(CMSG_DATA(header)) : -1;
}

TEST_F(Ownership, connection_that_was_there_before)
{
    make_target({}, Target::one_connection(read_all));
    Sender& sender = connect(kSlow);
    sender.start();
    nap(500ms);
    watch();
    nap(500ms);
    EXPECT_TRUE(watcher().lines(is_trouble).empty());
    control().hold = true;
    ASSERT_NO_FATAL_FAILURE(expect_stall_of(sender));
    const auto warning = watcher().lines(is_trouble).front();
    EXPECT_EQ(warning.json["process"]["pid"], target().pid());
    EXPECT_TRUE(warning.json["socket"]["fd"].is_number());
    EXPECT_FALSE(warning.json.contains("unread_age_is_lower_bound"));
    finish();
}

/// The target is the client.
TEST_F(Ownership, connection_that_the_target_made)
{
    std::uint16_t port = 0;
    const int listener = listen_on_loopback({}, port);
    SharedControl control;
    const std::string name = comm();
    watch();
    const Process client = Process::fork([&] {
        prctl(PR_SET_NAME, name.c_str());
        nap(300ms);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
            return;
        }
        while (!control->quit) {
            nap(1ms);
        }
    });
    const int server = accept(listener, nullptr, nullptr);
    ASSERT_GE(server, 0);
    const std::string text(1000, 'x');
    ASSERT_EQ(send(server, text.data(), text.size(), 0), 1000);
    const auto warning = watcher().wait_for(is_trouble, 4s);
    ASSERT_TRUE(warning);
    EXPECT_EQ(warning->json["process"]["pid"], client.pid());
    EXPECT_EQ(warning->json["queue_bytes"], 1000);
    EXPECT_GE(warning->json["unread_age_ms"], 1000);
    EXPECT_LT(warning->json["unread_age_ms"], 1100);
    close(server);
    close(listener);
    finish();
}

TEST_F(Ownership, target_that_restarts)
{
    watch();
    make_target({}, Target::one_connection(read_all));
    const pid_t first = target().pid();
    EXPECT_TRUE(watcher().wait_for(event_is("target"), 3s));
    target().process().signal(SIGKILL);
    EXPECT_TRUE(watcher().wait_for(
        [](const Line& l) { return l.event() == "target" && l.json["state"] == "ended"; }, 3s));
    make_target({}, Target::one_connection(read_all));
    ASSERT_NE(first, target().pid());
    Sender& sender = connect(kSlow);
    sender.start();
    nap(500ms);
    control().hold = true;
    ASSERT_NO_FATAL_FAILURE(expect_stall_of(sender));
    EXPECT_EQ(watcher().lines(is_trouble).front().json["process"]["pid"], target().pid());
    finish();
}

/// A shell script's process takes the name by exec; here, a copy of sleep under another name.
TEST_F(Ownership, target_that_appears_by_exec)
{
    const std::string path = "/tmp/" + comm();
    ASSERT_EQ(Process::spawn({"cp", "/bin/sleep", path}).wait(), 0);
    watch();
    const Process sleeper = Process::spawn({path, "5"});
    const auto line = watcher().wait_for(event_is("target"), 3s);
    unlink(path.c_str());
    ASSERT_TRUE(line);
    EXPECT_EQ(line->json["state"], "appeared");
    EXPECT_EQ(line->json["process"]["pid"], sleeper.pid());
    finish();
}

TEST_F(Ownership, inherited_by_a_child)
{
    make_target({}, [](int listener, Control& control) {
        const int fd = accept(listener, nullptr, nullptr);
        const pid_t child = fork();
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            prctl(PR_SET_NAME, "heir");
            control.child = static_cast<std::uint32_t>(getpid());
            control.accepted++;
            read_all(fd, control);
            _exit(0);
        }
        close(fd);
        waitpid(child, nullptr, 0);
    });
    watch();
    Sender& sender = connect(kSlow);
    ASSERT_TRUE(wait_until([&] { return control().accepted > 0; }, 5s));
    sender.start();
    nap(500ms);
    control().hold = true;
    ASSERT_NO_FATAL_FAILURE(expect_stall_of(sender));
    const auto warning = watcher().lines(is_trouble).front();
    EXPECT_EQ(warning.json["process"]["pid"], control().child.load());
    EXPECT_EQ(warning.json["process"]["comm"], "heir");
    control().quit = true;
    finish();
}

/// Listens to a port of its own, which it tells, and reads what comes.
[[noreturn]] void work_as_child(Control& control)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "worker");
    std::uint16_t port = 0;
    const int own = listen_on_loopback({}, port);
    control.child = port;
    const int fd = accept(own, nullptr, nullptr);
    control.accepted++;
    read_all(fd, control);
    _exit(0);
}

/// Its name does not lead to it, and no event tells of it any more.
TEST_F(Ownership, inherited_by_a_child_before_the_start)
{
    make_target({}, [](int listener, Control& control) {
        const pid_t child = fork();
        if (child == 0) {
            work_as_child(control);
        }
        close(listener);
        waitpid(child, nullptr, 0);
    });
    ASSERT_TRUE(wait_until([&] { return control().child != 0; }, 5s));
    watch();
    Sender to_child(static_cast<std::uint16_t>(control().child.load()), kSlow);
    to_child.start();
    nap(500ms);
    control().hold = true;
    ASSERT_NO_FATAL_FAILURE(expect_stall_of(to_child));
    EXPECT_EQ(watcher().lines(is_trouble).front().json["process"]["comm"], "worker");
    const auto appeared = [](const Line& line) {
        return line.json["event"] == "target" && line.json["process"]["comm"] == "worker";
    };
    const auto lines = watcher().lines(appeared);
    ASSERT_EQ(lines.size(), 1U);
    EXPECT_EQ(lines.front().json["state"], "appeared");
    control().quit = true;
    finish();
}

/// What a target's child listens to and accepts is watched as well, whatever it calls itself.
TEST_F(Ownership, accepted_by_a_child)
{
    make_target({}, [](int listener, Control& control) {
        accept(listener, nullptr, nullptr);  // the sign to fork
        const pid_t child = fork();
        if (child == 0) {
            work_as_child(control);
        }
        waitpid(child, nullptr, 0);
    });
    watch();
    connect(kSlow);
    ASSERT_TRUE(wait_until([&] { return control().child != 0; }, 5s));
    Sender to_child(static_cast<std::uint16_t>(control().child.load()), kSlow);
    to_child.start();
    nap(500ms);
    control().hold = true;
    ASSERT_NO_FATAL_FAILURE(expect_stall_of(to_child));
    EXPECT_EQ(watcher().lines(is_trouble).front().json["process"]["comm"], "worker");
    control().quit = true;
    finish();
}

TEST_F(Ownership, passed_to_another_process)
{
    std::array<int, 2> pair{};
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()), 0);
    const Process other = Process::fork([&] {
        prctl(PR_SET_NAME, "stranger");
        receive_descriptor(pair[1]);
        nap(60s);
    });
    make_target({}, Target::one_connection([&](int fd, Control& /*control*/) {
                    std::array<char, 100> buffer{};
                    recv(fd, buffer.data(), buffer.size(), 0);
                    send_descriptor(pair[0], fd);
                    close(fd);
                }));
    watch();
    Sender& sender = connect(kSlow);
    sender.start();
    ASSERT_NO_FATAL_FAILURE(expect_stall_of(sender));
    const auto warning = watcher().lines(is_trouble).front();
    EXPECT_EQ(warning.json["process"]["comm"], "stranger");
    EXPECT_EQ(warning.json["process"]["pid"], other.pid());
    EXPECT_TRUE(warning.json["socket"]["fd"].is_number());
    close(pair[0]);
    close(pair[1]);
    finish();
}

/// The other way round: the target gets it from someone who is not watched.
TEST_F(Ownership, passed_to_the_target)
{
    std::array<int, 2> pair{};
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()), 0);
    std::uint16_t port = 0;
    const int listener = listen_on_loopback({}, port);
    make_target({}, [&](int /*listener*/, Control& control) {
        const int fd = receive_descriptor(pair[1]);
        control.accepted++;
        read_all(fd, control);
    });
    watch();
    Sender sender(port, kSlow);
    sender.start();
    const int fd = accept(listener, nullptr, nullptr);
    send_descriptor(pair[0], fd);
    close(fd);
    ASSERT_TRUE(wait_until([&] { return control().accepted > 0; }, 5s));
    nap(1500ms);  // the next full look finds it
    control().hold = true;
    ASSERT_NO_FATAL_FAILURE(expect_stall_of(sender));
    EXPECT_EQ(watcher().lines(is_trouble).front().json["process"]["comm"], comm());
    for (const int open : {pair[0], pair[1], listener}) {
        close(open);
    }
    control().quit = true;
    finish();
}

TEST_F(Ownership, ipv6)
{
    play({.family = AF_INET6, .rcvbuf = 48 * 1024}, {.family = AF_INET6}, read_all);
    expect_zero_at("[::1]");
}

TEST_F(Ownership, v4_mapped)
{
    play({.v4_mapped = true, .rcvbuf = 48 * 1024}, {}, read_all);
    expect_zero_at("127.0.0.1");
}

TEST_F(Ownership, another_network_namespace)
{
    const NetworkNamespace netns;
    play({.rcvbuf = 48 * 1024, .netns = netns.name()}, {.netns = netns.name()}, read_all);
    if (polls()) {
        // One that stayed in there would hold it after its last process has gone.
        nap(1500ms);
        const auto threads = fmt::format("/proc/{}/task", watcher().pid());
        for (const auto& thread : std::filesystem::directory_iterator(threads)) {
            EXPECT_EQ(std::filesystem::read_symlink(thread.path() / "ns/net"),
                      std::filesystem::read_symlink("/proc/self/ns/net"));
        }
    }
    expect_zero_at("127.0.0.1");
}

TEST_F(Ownership, never_accepted_in_another_network_namespace_before_the_start)
{
    const NetworkNamespace netns;
    make_target({.netns = netns.name()}, accept_nothing);
    Sender& sender = connect({.netns = netns.name()});
    sender.start();
    nap(500ms);
    watch();
    ASSERT_NO_FATAL_FAILURE(expect_stall_of(sender));
    EXPECT_TRUE(watcher().lines(is_trouble).front().json["socket"]["fd"].is_null());
    finish();
}

/// Two listeners on one port, at different addresses: each connection belongs to its own.
TEST_F(Ownership, the_same_port_at_another_address_is_a_stranger)
{
    make_target({}, accept_nothing);
    constexpr std::uint32_t kElsewhere = 0x7f000002;
    std::uint16_t port = 0;
    const int stranger = listen_on_loopback({.address = kElsewhere, .port = target().port()}, port);
    Flow elsewhere = kSlow;
    elsewhere.address = kElsewhere;
    std::vector<std::unique_ptr<Sender>> to_stranger;
    const auto connect_both = [&] {
        to_stranger.push_back(std::make_unique<Sender>(port, elsewhere));
        to_stranger.back()->start();
        connect(kSlow).start();
    };
    connect_both();
    nap(500ms);
    watch();
    connect_both();
    for (const auto& sender : senders()) {
        expect_stall_of(*sender);
        const auto warning = watcher().lines(about(*sender, is_trouble)).front();
        EXPECT_EQ(warning.json["process"]["comm"], comm());
        EXPECT_TRUE(warning.json["socket"]["fd"].is_null());
    }
    nap(1500ms);
    finish();
    for (const auto& sender : to_stranger) {
        EXPECT_TRUE(watcher().lines(about(*sender)).empty());
    }
    close(stranger);
}

/// An IPv4 connection may come to an IPv6 listener; before the start, too.
TEST_F(Ownership, v4_mapped_and_waiting_before_the_start)
{
    make_target({.v4_mapped = true}, accept_nothing);
    Sender& sender = connect(kSlow);
    sender.start();
    nap(500ms);
    watch();
    expect_stall_of(sender);
    EXPECT_EQ(watcher().lines(is_trouble).front().json["process"]["comm"], comm());
    finish();
}

/// Many short connections: each gives back what it took, and none is mistaken for an earlier one.
TEST_F(Ownership, places_and_addresses_are_used_again)
{
    constexpr int kConnections = 1000;  // the table holds 256
    make_target({}, [](int listener, Control& control) {
        while (!control.quit) {
            const int fd = accept(listener, nullptr, nullptr);
            control.accepted++;
            if (control.accepted > kConnections) {
                continue;  // the last one is not read
            }
            std::array<char, 100> buffer;
            while (recv(fd, buffer.data(), buffer.size(), 0) > 0) {
            }
            close(fd);
        }
    });
    watch({"--max-sockets", "256"});
    for (int i = 0; i < kConnections; i++) {
        const Sender sender(target().port(), {});
        ASSERT_EQ(send(sender.fd(), "hello", 5, 0), 5);
    }
    Sender& last = connect({});
    ASSERT_EQ(send(last.fd(), "last", 4, 0), 4);
    const auto warning = watcher().wait_for(is_trouble, 5s);
    ASSERT_TRUE(warning);
    EXPECT_TRUE(about(last)(*warning));
    EXPECT_EQ(warning->json["queue_bytes"], 4);
    EXPECT_TRUE(warning->json["last_read_ms"].is_null());
    EXPECT_LT(warning->json["unread_age_ms"], 1100);
    nap(500ms);
    finish();
    for (const Line& line : watcher().lines(is_trouble)) {
        EXPECT_TRUE(about(last)(line)) << line.json;
    }
    const auto summary = watcher().lines(event_is("summary")).front();
    EXPECT_EQ(summary.json["sockets_not_watched"], 0);
    EXPECT_EQ(summary.json["events_lost"], 0);
}

/// What comes on a path of Multipath TCP is moved on to a queue of the connection's own: read or
/// not, the path's own says nothing. A peer that does not know of it has TCP.
TEST_F(Ownership, of_multipath_tcp_is_not_followed)
{
    if (!File(socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP))) {
        GTEST_SKIP() << "this kernel has no Multipath TCP";
    }
    make_target({}, [](int, Control& control) {
        EXPECT_TRUE(wait_until([&] { return control.hold.load(); }, 10s));
        std::uint16_t port = 0;
        const int listener = listen_on_loopback({.protocol = IPPROTO_MPTCP}, port);
        control.port = port;
        const int fd = accept(listener, nullptr, nullptr);
        std::array<char, 100> buffer;
        const ssize_t length = recv(fd, buffer.data(), buffer.size(), 0);
        control.bytes_read += length > 0 ? static_cast<std::uint64_t>(length) : 0;
        (void)accept(listener, nullptr, nullptr);  // never read
        while (!control.quit) {
            nap(1ms);
        }
    });
    watch();
    control().hold = true;
    ASSERT_TRUE(wait_until([&] { return control().port != target().port(); }, 5s));
    const auto port = static_cast<std::uint16_t>(control().port.load());
    const Sender multipath(port, {.protocol = IPPROTO_MPTCP});
    ASSERT_EQ(send(multipath.fd(), "hello", 5, 0), 5);
    if (!polls()) {
        const auto lost = watcher().wait_for(event_is("lost"), 5s);
        ASSERT_TRUE(lost);
        EXPECT_EQ(lost->json["multipath"], 1);
    }
    ASSERT_TRUE(wait_until([&] { return control().bytes_read == 5; }, 5s));
    nap(2s);
    EXPECT_TRUE(watcher().lines(is_trouble).empty());
    const Sender plain(port, {});
    ASSERT_EQ(send(plain.fd(), "hello", 5, 0), 5);
    EXPECT_TRUE(watcher().wait_for(about(plain, is_trouble), 5s));
    finish();
    EXPECT_EQ(watcher().lines(is_trouble).size(), watcher().lines(about(plain, is_trouble)).size());
}

/// A reset, and the peer is back at once: there are no more connections than before. By polling it
/// is seen at the next tick, if there was none to look for in the last second.
TEST_F(Ownership, a_connection_that_takes_the_place_of_another)
{
    constexpr int kTimes = 4;
    make_target({}, [](int listener, Control& control) {
        while (!control.quit) {
            (void)accept(listener, nullptr, nullptr);  // held until the process ends, never read
            control.accepted++;
        }
    });
    watch({"--warn-after", "200ms"});
    for (int i = 0; i < kTimes; i++) {
        Sender& sender = connect({});
        ASSERT_EQ(send(sender.fd(), "unread", 6, 0), 6);
        const auto warning = watcher().wait_for(about(sender, is_trouble), 5s);
        ASSERT_TRUE(warning);
        EXPECT_LT(warning->json["unread_age_ms"], 400);
        nap(on_emulated_machine() ? 3s : 1s);
        sender.reset();
    }
    finish();
}

/// The index of a table of 256 has 512 places: two cookies that are alike in nine bits share one.
TEST_F(Ownership, two_sockets_in_one_place_of_the_index)
{
    constexpr int kMost = 10'000;
    make_target({}, [](int listener, Control& control) {
        std::uint64_t first = 0;
        while (control.accepted < 2) {
            const int fd = accept(listener, nullptr, nullptr);
            std::uint64_t cookie = 0;
            socklen_t length = sizeof(cookie);
            getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length);
            if (control.accepted == 0) {
                first = cookie;
                control.accepted++;
            } else if (((cookie ^ first) & 511) == 0) {
                control.accepted++;
            } else {
                close(fd);
            }
            control.child++;
        }
        while (!control.quit) {
            nap(1ms);
        }
    });
    watch({"--max-sockets", "256"});
    const Sender& first = connect({});
    std::unique_ptr<Sender> second;
    for (std::uint32_t i = 2; control().accepted < 2 && i < kMost; i++) {
        second = std::make_unique<Sender>(target().port(), Flow{});
        ASSERT_TRUE(wait_until([&] { return control().child == i; }, 5s));
    }
    ASSERT_EQ(control().accepted, 2U) << "no two such sockets";
    ASSERT_EQ(send(second->fd(), "second", 6, 0), 6);
    ASSERT_EQ(send(first.fd(), "first", 5, 0), 5);
    const auto of_second = watcher().wait_for(about(*second, is_trouble), 5s);
    const auto of_first = watcher().wait_for(about(first, is_trouble), 5s);
    ASSERT_TRUE(of_second && of_first);
    EXPECT_EQ(of_second->json["queue_bytes"], 6);
    EXPECT_EQ(of_first->json["queue_bytes"], 5);
    finish();
}

/// A table full of sockets in trouble is said; as soon as there is room, who was left out is
/// followed.
TEST_F(Ownership, more_sockets_than_the_table_holds)
{
    constexpr int kTable = 256;
    make_target({.backlog = 1024}, [](int listener, Control& control) {
        std::vector<int> fds;
        fds.reserve(kTable);
        for (int i = 0; i < kTable; i++) {
            fds.push_back(accept(listener, nullptr, nullptr));
            control.accepted++;
        }
        while (!control.hold) {
            nap(1ms);
        }
        for (const int fd : fds) {
            close(fd);
        }
        nap(60s);
    });
    std::vector<std::unique_ptr<Sender>> filling;
    filling.reserve(kTable);
    for (int i = 0; i < kTable; i++) {
        filling.push_back(std::make_unique<Sender>(target().port(), Flow{}));
        ASSERT_EQ(send(filling.back()->fd(), "unread", 6, 0), 6);
    }
    ASSERT_TRUE(wait_until([&] { return control().accepted == kTable; }, 5s));
    watch({"--max-sockets", "256"});
    Sender& late = connect(kSlow);
    late.start();
    const auto lost = watcher().wait_for(event_is("lost"), 3s);
    ASSERT_TRUE(lost);
    EXPECT_EQ(lost->json["table_full"], 1);
    EXPECT_EQ(lost->json["reason"],
              "some sockets with unread data are not followed: raise --max-sockets");
    filling.clear();
    control().hold = true;
    ASSERT_NO_FATAL_FAILURE(expect_stall_of(late));
    finish();
}

/// By address, sockets that there is no room to remember are found by each full look, and counted
/// once.
TEST_F(Ownership, more_sockets_than_can_be_remembered)
{
    if (polls()) {
        GTEST_SKIP() << "polling remembers no addresses";
    }
    constexpr rlim_t kRoom = 256 + 4096;  // for each slot and each listener
    constexpr rlim_t kPairs = kRoom / 2 + 100;
    make_target({}, [](int listener, Control& control) {
        const rlimit descriptors{2 * kPairs + 100, 2 * kPairs + 100};
        setrlimit(RLIMIT_NOFILE, &descriptors);
        for (; control.accepted < kPairs; control.accepted++) {
            (void)connect_on_loopback(static_cast<std::uint16_t>(control.port.load()));
            accept(listener, nullptr, nullptr);
        }
        nap(60s);
    });
    ASSERT_TRUE(wait_until([&] { return control().accepted == kPairs; }, 10s));
    watch({"--without", "sk_storage", "--max-sockets", "256"});
    for (int i = 0; i < 5; i++) {  // a new target is looked through at once
        const Process another = Process::fork([this] {
            prctl(PR_SET_NAME, comm().c_str());
            nap(60s);
        });
        nap(400ms);
    }
    finish();
    const Json summary = watcher().lines(event_is("summary")).front().json;
    EXPECT_EQ(summary["sockets_not_watched"], 1 + 2 * kPairs - kRoom);
    EXPECT_EQ(watcher().lines(event_is("lost")).size(), 1U);
}

TEST_F(Ownership, only_the_asked_port)
{
    make_target({}, Target::one_connection([](int, Control&) {}));
    watch({"--port", "1"});
    connect(kSlow).start();
    nap(2500ms);
    EXPECT_EQ(finish(), 0);
    EXPECT_TRUE(watcher().lines(is_trouble).empty());
}

TEST_F(Ownership, every_process)
{
    make_target({}, Target::one_connection([](int, Control&) {}));
    Sender& before = connect(kSlow);
    before.start();
    Watcher all({"--all", "--port", std::to_string(target().port())});
    Sender& after = connect(kSlow);
    after.start();
    EXPECT_TRUE(all.wait_for(about(before, is_trouble), 4s));
    const auto unaccepted = all.wait_for(about(after, is_trouble), 4s);
    ASSERT_TRUE(unaccepted);
    EXPECT_TRUE(unaccepted->json["socket"]["fd"].is_null());
    EXPECT_EQ(all.stop(), 1);
}

}  // namespace
}  // namespace drainwatch::live
