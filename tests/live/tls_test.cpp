// What TLS says in the clear, told of handshakes whose bytes are replayed: the same on every
// kernel, without a program that speaks TLS.
#include "support/scenario.hpp"
#include "support/tls_bytes.hpp"

#include <fmt/format.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <csignal>
#include <thread>

namespace drainwatch::live {
namespace {

using namespace std::chrono_literals;
using namespace drainwatch::test;
using tls::kTls10;
using tls::kTls12;
using tls::kTls13;

const HelloBytes kOffers13{kTls12, {kTls13, kTls12}, "a.example", 0};
const HelloBytes kOffersUpTo10{kTls10, {}, "", 0};
const HelloBytes kOffersFrom12{kTls12, {kTls12}, "", 0};

void say(int fd, const ByteVector& bytes)
{
    ASSERT_EQ(send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
}

/// Waits for so many bytes; false if they do not come.
bool hear(int fd, std::size_t count)
{
    std::array<std::uint8_t, 65536> buffer;
    while (count > 0) {
        pollfd ready{fd, POLLIN, 0};
        if (poll(&ready, 1, 5000) <= 0) {
            return false;
        }
        const ssize_t length = recv(fd, buffer.data(), std::min(count, buffer.size()), 0);
        if (length <= 0) {
            return false;
        }
        count -= static_cast<std::size_t>(length);
    }
    return true;
}

/// What the server says once it has heard something, as often as that goes on.
struct Turn {
    ByteVector client;
    ByteVector server;
};
using Dialogue = std::vector<Turn>;

void serve(int fd, const Dialogue& dialogue)
{
    for (const Turn& turn : dialogue) {
        if (!hear(fd, turn.client.size())) {
            return;
        }
        send(fd, turn.server.data(), turn.server.size(), MSG_NOSIGNAL);
    }
}

/// The same, however long it takes.
void serve_patiently(int fd, const Dialogue& dialogue)
{
    for (const Turn& turn : dialogue) {
        ByteVector heard(turn.client.size());
        if (recv(fd, heard.data(), heard.size(), MSG_WAITALL) !=
            static_cast<ssize_t>(heard.size())) {
            return;
        }
        send(fd, turn.server.data(), turn.server.size(), MSG_NOSIGNAL);
    }
}

/// One long hello after the other, 20,000 segments a second at most, of a byte each.
[[nodiscard]] Process flood_of_hellos(std::uint16_t port)
{
    return Process::fork([port] {
        const ByteVector beginning{22, 3, 1, 0x3f, 0xff, 1, 0, 0x3f, 0xfb};
        constexpr int kBursts = 160;
        constexpr int kBurst = 100;
        while (true) {
            const int fd = connect_on_loopback(port);
            say(fd, beginning);
            for (int i = 0; i < kBursts * kBurst; i++) {
                say(fd, {0});
                if (i % kBurst == 0) {
                    nap(5ms);
                }
            }
            close(fd);
        }
    });
}

const Dialogue kTls10Handshake{
    {client_hello(kOffersUpTo10), server_hello(kTls10)},
    {change_cipher_spec() + finished(), change_cipher_spec() + finished()}};
const Dialogue kTls13Handshake{
    {client_hello(kOffers13), server_hello(kTls12, kTls13) + change_cipher_spec() +
                                  application_data(23) + application_data(900)},
    {change_cipher_spec() + application_data(53), application_data(200)}};
const Dialogue kRefused{{client_hello(kOffersFrom12), alert_record(2, 70)}};

class Tls : public Scenario {
protected:
    void SetUp() override
    {
        Scenario::SetUp();
        if (polls()) {
            GTEST_SKIP() << "the poll tier has no TLS facts";
        }
    }

    /// One connection that is served as the dialogue says, then closed.
    void serve_one(const Dialogue& dialogue)
    {
        make_target({}, [dialogue](int listener, Control& control) {
            const int fd = accept(listener, nullptr, nullptr);
            control.accepted++;
            serve(fd, dialogue);
            close(fd);
            while (!control.quit) {
                nap(1ms);
            }
        });
    }

    /// The client's part, in segments of at most so many bytes.
    static void ask(const Sender& sender, const Dialogue& dialogue, std::size_t segment = 1 << 20)
    {
        for (const Turn& turn : dialogue) {
            for (std::size_t at = 0; at < turn.client.size(); at += segment) {
                const auto from = turn.client.begin() + static_cast<std::ptrdiff_t>(at);
                const auto length = std::min(segment, turn.client.size() - at);
                say(sender.fd(), {from, from + static_cast<std::ptrdiff_t>(length)});
            }
            ASSERT_TRUE(hear(sender.fd(), turn.server.size()));
        }
    }

    [[nodiscard]] Json wait_for(const std::string& event)
    {
        const auto line = watcher().wait_for(about(sender(), event_is(event)), 5s);
        EXPECT_TRUE(line) << event;
        return line ? line->json : Json::object();
    }
};

TEST_F(Tls, handshake_of_tls_1_3)
{
    serve_one(kTls13Handshake);
    watch();
    ask(connect({}), kTls13Handshake);
    const Json line = wait_for("tls_handshake");
    EXPECT_EQ(line["role"], "server");
    EXPECT_EQ(line["offered_versions"], Json({"TLSv1.3", "TLSv1.2"}));
    EXPECT_EQ(line["offered_max"], "TLSv1.3");
    EXPECT_EQ(line["selected"], "TLSv1.3");
    EXPECT_EQ(line["cipher_suite"], "TLS_AES_128_GCM_SHA256");
    EXPECT_EQ(line["server_name"], "a.example");
    EXPECT_EQ(line["result"], "completed");
    EXPECT_EQ(line["process"]["comm"], comm());
    EXPECT_EQ(finish(), 0);
    const auto summary = watcher().lines(event_is("summary"));
    ASSERT_EQ(summary.size(), 1U);
    EXPECT_EQ(summary[0].json["tls_versions"], Json({{"127.0.0.1", {"TLSv1.3"}}}));
}

/// Segments of a few bytes each; and a hello that no segment of a network could hold.
TEST_F(Tls, hello_in_pieces)
{
    for (const auto& [padding, segment] : {std::pair{std::size_t{0}, std::size_t{7}},
                                           std::pair{std::size_t{17000}, std::size_t{1000}},
                                           std::pair{std::size_t{16000}, std::size_t{1} << 20}}) {
        HelloBytes hello = kOffers13;
        hello.padding = padding;
        const ByteVector whole = message(1, client_hello_body(hello));
        const std::size_t half = whole.size() / 2;
        const auto middle = whole.begin() + static_cast<std::ptrdiff_t>(half);
        Dialogue dialogue = kTls13Handshake;
        dialogue[0].client =
            record(22, {whole.begin(), middle}) + record(22, {middle, whole.end()});
        serve_one(dialogue);
        watch();
        const Sender& client = connect({});
        ask(client, dialogue, segment);
        const auto line = watcher().wait_for(about(client, event_is("tls_handshake")), 5s);
        ASSERT_TRUE(line) << padding;
        EXPECT_EQ(line->json["offered_max"], "TLSv1.3") << padding;
        EXPECT_EQ(line->json["result"], "completed") << padding;
        EXPECT_EQ(finish(), 0);
    }
}

TEST_F(Tls, refused_for_the_version)
{
    serve_one(kRefused);
    watch();
    ask(connect({}), kRefused);
    const Json alert = wait_for("tls_alert");
    EXPECT_EQ(alert["from"], "local");
    EXPECT_EQ(alert["level"], "fatal");
    EXPECT_EQ(alert["description"], "protocol_version");
    EXPECT_EQ(wait_for("tls_handshake")["result"], "refused");
    const Json mismatch = wait_for("tls_version_mismatch");
    EXPECT_EQ(mismatch["severity"], "warning");
    EXPECT_EQ(mismatch["reason"],
              "peer 127.0.0.1 offers at most TLS 1.2; this side answered protocol_version");
    EXPECT_EQ(finish(), 1);
}

TEST_F(Tls, below_the_minimum)
{
    serve_one(kTls10Handshake);
    watch();
    ask(connect({}), kTls10Handshake);
    EXPECT_EQ(wait_for("tls_version_mismatch")["selected"], "TLSv1.0");
    EXPECT_EQ(finish(), 1);

    serve_one(kTls10Handshake);
    watch({"--tls-min", "1.0"});
    const Sender& client = connect({});
    ask(client, kTls10Handshake);
    EXPECT_TRUE(watcher().wait_for(about(client, event_is("tls_handshake")), 5s));
    EXPECT_EQ(finish(), 0);
}

TEST_F(Tls, what_is_not_tls_is_nothing)
{
    const Dialogue dialogue{{{'G', 'E', 'T', ' ', '/'}, {'n', 'o'}}, {ByteVector(200, 22), {'!'}}};
    serve_one(dialogue);
    watch();
    ask(connect({}), dialogue);
    nap(500ms);
    EXPECT_EQ(finish(), 0);
    EXPECT_TRUE(
        watcher().lines([](const Line& line) { return line.event().starts_with("tls_"); }).empty());
}

TEST_F(Tls, switched_off)
{
    const auto memory = [this] {
        return watcher().lines(event_is("start")).front().json["memory_bytes"].get<long>();
    };
    serve_one(kRefused);
    watch();
    const long with = memory();
    finish();
    watch({"--no-tls"});
    EXPECT_GE(with - memory(), (256L << 10) * sysconf(_SC_NPROCESSORS_ONLN)) << "its buffers";
    ask(connect({}), kRefused);
    nap(500ms);
    EXPECT_EQ(finish(), 0);
    EXPECT_TRUE(
        watcher().lines([](const Line& line) { return line.event().starts_with("tls_"); }).empty());
}

/// The hello lies there, and nobody reads it.
TEST_F(Tls, unread_hello)
{
    make_target({}, Target::one_connection([](int, Control&) {}));
    watch();
    const Sender& client = connect({});
    const ByteVector hello = client_hello(kOffersFrom12);
    say(client.fd(), hello);
    const Json stalled = wait_for("tls_handshake_stalled");
    EXPECT_EQ(stalled["severity"], "warning");
    EXPECT_EQ(stalled["unread"], "a TLS 1.2 ClientHello");
    EXPECT_EQ(stalled["unread_bytes"], hello.size());
    const Json line = wait_for("not_draining");
    EXPECT_NE(line["reason"].get<std::string>().find(
                  fmt::format("{} unread bytes: a TLS 1.2 ClientHello", hello.size())),
              std::string::npos)
        << line["reason"];
    finish();
}

/// The link was there before the watch: its data's headers tell of an old version.
TEST_F(Tls, version_of_an_earlier_connection)
{
    make_target({}, Target::one_connection([](int fd, Control& control) {
                    serve(fd, kTls10Handshake);
                    read_all(fd, control);
                }));
    const Sender& client = connect({});
    ask(client, kTls10Handshake);
    watch();
    say(client.fd(), record(23, ByteVector(100, 1), kTls10));
    const Json mismatch = wait_for("tls_version_mismatch");
    EXPECT_EQ(mismatch["selected"], "TLSv1.0");
    EXPECT_TRUE(watcher().lines(event_is("tls_handshake")).empty());
    EXPECT_EQ(finish(), 1);
}

/// Idle for so long that others have its place in the table: its alerts are told all the same once
/// it has one again, and nothing it says is taken for a handshake.
TEST_F(Tls, place_that_was_given_away)
{
    const Dialogue handshake{
        {client_hello(kOffersFrom12), server_hello(kTls12)},
        {change_cipher_spec() + finished(), change_cipher_spec() + finished()}};
    constexpr std::size_t kTable = 256;
    constexpr std::size_t kOthers = kTable + 20;
    make_target({.backlog = static_cast<int>(kOthers)}, [&](int listener, Control& control) {
        serve(accept(listener, nullptr, nullptr), handshake);
        for (; !control.quit; control.accepted++) {
            accept(listener, nullptr, nullptr);
        }
    });
    watch({"--max-sockets", std::to_string(kTable)});
    const Sender& client = connect({});
    ask(client, handshake);
    ASSERT_EQ(wait_for("tls_handshake")["result"], "completed");
    nap(1s);
    for (std::size_t i = 0; i < kOthers; i++) {
        connect({});
    }
    ASSERT_TRUE(wait_until([&] { return control().accepted == kOthers; }, 5s));
    nap(1s);
    for (std::size_t i = 0; i < 15; i++) {
        say(senders()[senders().size() - 1 - i]->fd(), {0});  // those have no place yet
    }
    nap(1s);
    say(client.fd(), application_data(100));
    nap(10ms);
    const ByteVector encrypted_alert = record(21, ByteVector(26, 7));
    say(client.fd(), encrypted_alert);
    const Json alert = wait_for("tls_alert");
    EXPECT_EQ(alert["from"], "peer");
    EXPECT_TRUE(alert["description"].is_null());
    finish();
    EXPECT_EQ(watcher().lines(about(client, event_is("tls_handshake"))).size(), 1U);
}

/// Connections that look like TLS and say next to nothing in very many segments: that streams are
/// looked into is what goes first, and all else is told as ever. A handshake that is under way as
/// they are taken again is not told of, for its beginning is not known.
TEST_F(Tls, a_flood_of_it_is_kept_within_the_budget)
{
    const auto degraded = [](const std::string& state) {
        return [state](const Line& line) {
            return line.event() == "degraded" && line.json["state"] == state &&
                   line.json["part"] == "tls";
        };
    };
    cpu_budget_ = "0.7%";
    make_target({}, [](int listener, Control& control) {
        std::uint16_t port = 0;
        const int sink = listen_on_loopback({}, port);
        control.child = port;
        const std::thread sinking([sink] {
            std::array<char, 4096> buffer;
            for (int fd = 0; (fd = accept(sink, nullptr, nullptr)) >= 0; close(fd)) {
                while (recv(fd, buffer.data(), buffer.size(), 0) > 0) {
                }
            }
        });
        const int link = accept(listener, nullptr, nullptr);
        const std::thread serving([listener] {
            std::vector<std::thread> each;
            for (int fd = 0; (fd = accept(listener, nullptr, nullptr)) >= 0;) {
                each.emplace_back([fd] { serve_patiently(fd, kTls10Handshake); });
            }
        });
        read_all(link, control);
        _exit(0);
    });
    watch();
    Sender& link = connect({.message = 150, .spacing = 20'000us});
    link.start();
    nap(1s);
    EXPECT_TRUE(watcher().lines(event_is("degraded")).empty());
    const Process flood = flood_of_hellos(static_cast<std::uint16_t>(control().child.load()));
    const auto shed = watcher().wait_for(degraded("shed"), 4s);
    ASSERT_TRUE(shed);
    EXPECT_NE(shed->json["not_seen"], "");
    const Sender& unseen = connect({});
    ask(unseen, {kTls10Handshake[0]});
    control().hold = true;
    EXPECT_TRUE(watcher().wait_for(about(link, is_trouble), 2s));
    control().hold = false;
    flood.signal(SIGKILL);
    ASSERT_TRUE(watcher().wait_for(degraded("restored"), 25s));
    EXPECT_EQ(watcher().lines(event_is("degraded")).front().json["part"], "tls");
    const Sender& seen = connect({});
    ask(seen, kTls10Handshake);
    ask(unseen, {kTls10Handshake[1]});
    EXPECT_TRUE(watcher().wait_for(about(seen, event_is("tls_handshake")), 5s));
    nap(500ms);
    finish();
    EXPECT_TRUE(watcher().lines(about(unseen, event_is("tls_handshake"))).empty());
}

/// With kernel TLS, the kernel itself takes records from the queue, one ahead of the reader: the
/// verdict is the same as on a plain socket.
TEST_F(Tls, kernel_tls_that_is_not_read)
{
    constexpr std::uint32_t kNoKernelTls = 1;
    Listen listen;
    listen.rcvbuf = 16384;
    make_target(listen, Target::one_connection([](int fd, Control& control) {
                    tls12_crypto_info_aes_gcm_128 keys{};
                    keys.info.version = TLS_1_2_VERSION;
                    keys.info.cipher_type = TLS_CIPHER_AES_GCM_128;
                    if (setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")) != 0 ||
                        setsockopt(fd, SOL_TLS, TLS_RX, &keys, sizeof(keys)) != 0) {
                        control.child = kNoKernelTls;
                    }
                    control.accepted++;
                }));
    watch({"--horizon", "1ms"});  // warned of by its age, with a second's data in the queue
    Sender& client = connect({});
    ASSERT_TRUE(wait_until([&] { return control().accepted == 2; }, 5s));
    if (control().child == kNoKernelTls) {
        GTEST_SKIP() << "this kernel has no TLS of its own";
    }
    const ByteVector data = record(23, ByteVector(150, 1));
    for (int i = 0; i < 500 && watcher().lines(event_is("zero_window")).empty(); i++) {
        (void)send(client.fd(), data.data(), data.size(), MSG_DONTWAIT);
        nap(15ms);
    }
    EXPECT_GT(wait_for("not_draining")["queue_bytes"], 5000);
    EXPECT_GT(wait_for("zero_window")["queue_bytes"], 5000);
    EXPECT_EQ(finish(), 2);
}

/// The incident: a link at TLS 1.0; its peer comes back wanting 1.2 and is refused; the reader of
/// the link stops; the link is reset.
TEST_F(Tls, the_incident)
{
    Listen listen;
    listen.rcvbuf = 16384;
    make_target(listen, [](int listener, Control& control) {
        const int link = accept(listener, nullptr, nullptr);
        serve(link, kTls10Handshake);
        control.accepted++;
        const int again = accept(listener, nullptr, nullptr);
        serve(again, kRefused);
        close(again);
        control.accepted++;
        read_all(link, control);
    });
    capture();
    watch();
    Sender& link = connect({});
    ask(link, kTls10Handshake);
    Sender& again = connect({});
    ask(again, kRefused);
    ASSERT_TRUE(watcher().wait_for(about(again, event_is("tls_version_mismatch")), 5s));
    control().hold = true;
    link.start();
    ASSERT_TRUE(watcher().wait_for(about(link, event_is("zero_window")), 20s));
    control().quit = true;  // and closes with unread data
    ASSERT_TRUE(watcher().wait_for(about(link, event_is("link_reset")), 5s));
    EXPECT_EQ(finish(), 2);

    std::vector<std::string> timeline;
    for (const Line& line :
         watcher().lines([](const Line& l) { return l.json.contains("socket"); })) {
        const bool of_link = about(link)(line);
        const std::string event = (of_link ? "link " : "again ") + line.event();
        if (std::find(timeline.begin(), timeline.end(), event) == timeline.end()) {
            timeline.push_back(event);
        }
    }
    EXPECT_EQ(timeline, (std::vector<std::string>{"link tls_handshake", "link tls_version_mismatch",
                                                  "again tls_alert", "again tls_handshake",
                                                  "again tls_version_mismatch", "link not_draining",
                                                  "link zero_window", "link link_reset"}));
}

}  // namespace
}  // namespace drainwatch::live
