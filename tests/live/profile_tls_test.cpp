// Calls of TLS libraries: what `profile` says of them, against a reader that times its own calls
// and is made to be slow in known places; and of real programs.
#include "support/open_ssl.hpp"
#include "support/profile_run.hpp"
#include "support/scenario.hpp"
#include "support/shared_array.hpp"
#include "support/tls_peer.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <memory>
#include <span>
#include <vector>

namespace drainwatch::live {
namespace {

using namespace std::chrono_literals;

constexpr std::uint16_t kPort = 18766;
constexpr auto kInjected = 3ms;

double ns(std::chrono::nanoseconds time)
{
    return static_cast<double>(time.count());
}

double median(std::span<const std::uint64_t> values)
{
    std::vector<std::uint64_t> sorted(values.begin(), values.end());
    std::sort(sorted.begin(), sorted.end());
    return sorted.empty() ? 0 : static_cast<double>(sorted[(sorted.size() - 1) / 2]);
}

/// How many of a distribution are no less than this, by its buckets.
std::uint64_t count_from(const Json& distribution, double least)
{
    std::uint64_t count = 0;
    for (const Json& bucket : distribution.at("buckets")) {
        count += bucket[0].get<double>() >= least ? bucket[1].get<std::uint64_t>() : 0;
    }
    return count;
}

/// OpenSSL tells of a record that it has decrypted: still within SSL_read, above the socket.
void dawdle(int written, int /*version*/, int type, const void* /*bytes*/, std::size_t /*length*/,
            void* /*session*/, void* /*argument*/)
{
    if (written == 0 && type == OpenSsl::kInnerContentType) {
        nap(kInjected);
    }
}

/// At the end of a target's body: the process stays, for its calls to be told of.
void say_that_it_is_over(Control& control)
{
    control.accepted = 1;
    while (!control.quit) {
        nap(1ms);
    }
}

class ProfileTls : public ::testing::Test {
protected:
    void SetUp() override
    {
        if (geteuid() != 0) {
            GTEST_SKIP() << "live tests need root";
        }
        if (access("/sys/bus/event_source/devices/uprobe/type", R_OK) != 0) {
            GTEST_SKIP() << "this kernel does not trace user programs";
        }
        ssl_ = OpenSsl::load();
        if (ssl_ == nullptr || !has_program("openssl")) {
            GTEST_SKIP() << "OpenSSL is not installed here";
        }
        files_ = std::make_unique<TlsFiles>();
    }

    /// The target's end of a connection.
    [[nodiscard]] void* new_session(int fd) const
    {
        return ssl_->new_server(fd, files_->path("key.pem"), files_->path("certificate.pem"));
    }
    [[nodiscard]] void* accept_session(int listener) const
    {
        return new_session(accept(listener, nullptr, nullptr));
    }

    /// A target that reads one message, and is over.
    [[nodiscard]] Target::Body one_message() const
    {
        return [this](int listener, Control& control) {
            void* session = accept_session(listener);
            (void)ssl_->SSL_do_handshake(session);
            std::array<char, 100> buffer{};
            (void)ssl_->SSL_read(session, buffer.data(), buffer.size());
            say_that_it_is_over(control);
        };
    }

    /// When the target is over: what was measured, or null.
    [[nodiscard]] static Json profile_of(Target& target, ProfileRun& run)
    {
        EXPECT_TRUE(wait_until([&] { return target.control().accepted == 1; }, 5s));
        Json profile = run.stop();
        target.control().quit = true;
        return profile;
    }

    const OpenSsl* ssl_ = nullptr;
    std::unique_ptr<TlsFiles> files_;
};

/// The test's end.
class Peer {
public:
    Peer(const OpenSsl& ssl, std::uint16_t port) : ssl_(ssl), fd_(connect_on_loopback(port))
    {
        session_ = ssl_.new_client(fd_);
    }
    ~Peer() { drop(); }
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;

    [[nodiscard]] bool shake_hands() { return ssl_.SSL_do_handshake(session_) == 1; }
    void say(std::size_t bytes)
    {
        const std::string text(bytes, 'x');
        EXPECT_EQ(ssl_.SSL_write(session_, text.data(), static_cast<int>(bytes)),
                  static_cast<int>(bytes));
    }
    void say_often(std::size_t times, std::size_t bytes, std::chrono::milliseconds spacing)
    {
        for (std::size_t i = 0; i < times; i++) {
            say(bytes);
            nap(spacing);
        }
    }
    void close_in_good_order()
    {
        (void)ssl_.SSL_shutdown(session_);
        drop();
    }
    void drop()
    {
        if (fd_ >= 0) {
            ssl_.SSL_free(session_);
            close(fd_);
            fd_ = -1;
        }
    }
    [[nodiscard]] int fd() const { return fd_; }

private:
    const OpenSsl& ssl_;
    int fd_;
    void* session_;
};

TEST_F(ProfileTls, time_above_the_socket_is_told_apart)
{
    constexpr std::size_t kMessages = 100;
    SharedArray<std::uint64_t> calls(kMessages);
    const std::string comm = unique_comm();
    Target target(comm, {}, [&](int listener, Control& control) {
        void* session = accept_session(listener);
        if (ssl_->SSL_do_handshake(session) != 1) {
            return;
        }
        ssl_->SSL_set_msg_callback(session, dawdle);
        std::array<char, 1000> buffer{};
        while (true) {
            const std::uint64_t began_ns = realtime_ns();
            const int length = ssl_->SSL_read(session, buffer.data(), buffer.size());
            if (length <= 0) {
                (void)ssl_->SSL_get_error(session, length);
                break;
            }
            calls.push(realtime_ns() - began_ns);
        }
        say_that_it_is_over(control);
    });
    ProfileRun run(comm);
    Peer peer(*ssl_, target.port());
    ASSERT_TRUE(peer.shake_hands());
    peer.say_often(kMessages, 100, 8ms);
    peer.close_in_good_order();
    const Json profile = profile_of(target, run);
    ASSERT_TRUE(profile.is_object());

    ASSERT_EQ(calls.values().size(), kMessages);
    const Json& read = profile.at("tls_read_ns");
    const Json& latency = profile.at("tls_read_latency_ns");
    const Json& above = profile.at("tls_above_socket_ns");
    fmt::print("call: witness {:.1f} us, profile {:.1f} us; above the socket {:.1f} us of {:.1f}\n",
               median(calls.values()) / 1e3, read["p50"].get<double>() / 1e3,
               above["p50"].get<double>() / 1e3, latency["p50"].get<double>() / 1e3);
    EXPECT_EQ(read["count"], kMessages);
    EXPECT_EQ(latency["count"], kMessages);
    EXPECT_EQ(above["count"], kMessages);
    const double exact = median(calls.values());
    EXPECT_NEAR(read["p50"].get<double>(), exact, 0.03 * exact + 50e3);
    EXPECT_EQ(count_from(above, 0.96 * ns(kInjected)), kMessages);
    EXPECT_LT(above["p50"].get<double>(), ns(kInjected) + 1e6);
    EXPECT_GE(latency["mean"], above["mean"]);
    EXPECT_GT(profile["tls_above_socket"], 0.7);
    EXPECT_LE(profile["tls_above_socket"], 1.0);
    EXPECT_EQ(profile["tls_handshake_ns"]["count"], 1);
    EXPECT_EQ(profile["tls_handshake_errors"], 0);
    EXPECT_EQ(profile["tls_read_errors"], 0) << "the end of the stream is none";
    ASSERT_EQ(profile["tls"].size(), 1U);
    EXPECT_EQ(profile["tls"][0]["library"], "OpenSSL");
    EXPECT_EQ(profile["missing"], Json::array());
}

/// The same delay before the call: it lies below, in the socket.
TEST_F(ProfileTls, time_in_the_socket_is_not_above_it)
{
    constexpr std::size_t kMessages = 50;
    const std::string comm = unique_comm();
    Target target(comm, {}, [&](int listener, Control& control) {
        const int fd = accept(listener, nullptr, nullptr);
        void* session = new_session(fd);
        if (ssl_->SSL_do_handshake(session) != 1) {
            return;
        }
        std::array<char, 1000> buffer{};
        for (std::size_t i = 0; i < kMessages; i++) {
            pollfd ready{fd, POLLIN, 0};
            (void)poll(&ready, 1, 5000);
            nap(kInjected);
            (void)ssl_->SSL_read(session, buffer.data(), buffer.size());
        }
        say_that_it_is_over(control);
    });
    ProfileRun run(comm);
    Peer peer(*ssl_, target.port());
    ASSERT_TRUE(peer.shake_hands());
    peer.say_often(kMessages, 100, 10ms);
    const Json profile = profile_of(target, run);
    ASSERT_TRUE(profile.is_object());
    EXPECT_EQ(profile["tls_read_ns"]["count"], kMessages);
    EXPECT_EQ(count_from(profile["tls_read_latency_ns"], 0.96 * ns(kInjected)), kMessages);
    EXPECT_LT(profile["tls_above_socket_ns"]["p50"].get<double>(), 0.2 * ns(kInjected));
    EXPECT_LT(profile["tls_above_socket"], 0.3);
}

/// How long a piece of a record waited in the library, by its reader's clock: between these.
struct Above {
    std::uint64_t least_ns;
    std::uint64_t most_ns;
};

std::size_t count_of(const SharedArray<Above>& truth, double from_ns, std::uint64_t Above::*bound)
{
    const auto values = truth.values();
    return static_cast<std::size_t>(std::count_if(
        values.begin(), values.end(),
        [&](const Above& above) { return static_cast<double>(above.*bound) >= from_ns; }));
}

/// A record that is read in four pieces: three of them wait in the library, the socket is empty.
TEST_F(ProfileTls, data_that_waits_in_the_library_is_above_the_socket)
{
    constexpr std::size_t kRecords = 10;
    constexpr std::size_t kPieces = 4;
    constexpr int kPiece = 1000;
    SharedArray<Above> truth(kPieces * kRecords);
    const std::string comm = unique_comm();
    Target target(comm, {}, [&](int listener, Control& control) {
        const int fd = accept(listener, nullptr, nullptr);
        void* session = new_session(fd);
        if (ssl_->SSL_do_handshake(session) != 1) {
            return;
        }
        std::array<char, kPiece> buffer{};
        for (std::size_t record = 0; record < kRecords; record++) {
            pollfd ready{fd, POLLIN, 0};
            poll(&ready, 1, -1);
            const std::uint64_t first_began_ns = realtime_ns();
            std::uint64_t first_ended_ns = 0;
            for (std::size_t piece = 0; piece < kPieces; piece++) {
                const std::uint64_t began_ns = realtime_ns();
                (void)ssl_->SSL_read(session, buffer.data(), kPiece);
                const std::uint64_t ended_ns = realtime_ns();
                first_ended_ns = piece == 0 ? ended_ns : first_ended_ns;
                truth.push({piece == 0 ? 0 : began_ns - first_ended_ns, ended_ns - first_began_ns});
                nap(2ms);
            }
        }
        say_that_it_is_over(control);
    });
    ProfileRun run(comm);
    Peer peer(*ssl_, target.port());
    ASSERT_TRUE(peer.shake_hands());
    peer.say_often(kRecords, kPieces * kPiece, 20ms);
    const Json profile = profile_of(target, run);
    ASSERT_TRUE(profile.is_object());
    const Json& above = profile["tls_above_socket_ns"];
    EXPECT_EQ(above["count"], kPieces * kRecords);
    for (const double from_ns : {1.9e6, 3.8e6, 5.7e6}) {
        EXPECT_GE(count_from(above, from_ns), count_of(truth, 1.05 * from_ns, &Above::least_ns));
        EXPECT_LE(count_from(above, from_ns), count_of(truth, 0.95 * from_ns, &Above::most_ns));
    }
    EXPECT_EQ(count_of(truth, 1.9e6 * 1.05, &Above::least_ns), (kPieces - 1) * kRecords)
        << "the scene is not what it should be";
}

TEST_F(ProfileTls, a_handshake_is_from_the_first_call_to_the_last)
{
    SharedArray<std::uint64_t> truth(1);
    SharedArray<int> empty(1000);
    const std::string comm = unique_comm();
    Target target(comm, {}, [&](int listener, Control& control) {
        const int fd = accept(listener, nullptr, nullptr);
        fcntl(fd, F_SETFL, O_NONBLOCK);
        void* session = new_session(fd);
        const std::uint64_t began_ns = realtime_ns();
        for (int done = 0; done != 1;) {
            done = ssl_->SSL_do_handshake(session);
            if (done != 1 && ssl_->SSL_get_error(session, done) != OpenSsl::kWantRead) {
                return;
            }
            if (done != 1) {
                nap(20ms);
            }
        }
        truth.push(realtime_ns() - began_ns);
        (void)ssl_->SSL_do_handshake(session);  // there is nothing to do
        std::array<char, 1000> buffer{};
        for (int i = 0; i < 20; i++) {
            const int length = ssl_->SSL_read(session, buffer.data(), buffer.size());
            if (length <= 0 && ssl_->SSL_get_error(session, length) == OpenSsl::kWantRead) {
                empty.push(1);
            }
            nap(1ms);
        }
        say_that_it_is_over(control);
    });
    ProfileRun run(comm);
    Peer peer(*ssl_, target.port());
    nap(50ms);
    ASSERT_TRUE(peer.shake_hands());
    const Json profile = profile_of(target, run);
    ASSERT_TRUE(profile.is_object());
    ASSERT_EQ(truth.values().size(), 1U);
    const auto exact = static_cast<double>(truth.values()[0]);
    fmt::print("handshake: witness {:.2f} ms, profile {:.2f} ms\n", exact / 1e6,
               profile["tls_handshake_ns"]["max"].get<double>() / 1e6);
    EXPECT_GT(exact, 50e6);
    EXPECT_EQ(profile["tls_handshake_ns"]["count"], 1);
    EXPECT_NEAR(profile["tls_handshake_ns"]["max"].get<double>(), exact, 1e6);
    EXPECT_EQ(profile["tls_handshake_errors"], 0) << "to have to wait is none";
    EXPECT_EQ(profile["tls_empty_reads"], empty.values().size());
    EXPECT_EQ(profile["tls_read_errors"], 0);
}

TEST_F(ProfileTls, errors_are_counted)
{
    const std::string comm = unique_comm();
    Target target(comm, {}, [&](int listener, Control& control) {
        // Garbage, of which it asks what is wrong; garbage, of which it does not; one that it
        // gives up.
        for (const int which : {1, 2, 3}) {
            const int fd = accept(listener, nullptr, nullptr);
            if (which == 3) {
                fcntl(fd, F_SETFL, O_NONBLOCK);
            }
            void* session = new_session(fd);
            const int done = ssl_->SSL_do_handshake(session);
            if (which != 2) {
                (void)ssl_->SSL_get_error(session, done);
            }
            ssl_->SSL_free(session);
            close(fd);
        }
        // And a peer that goes without a word.
        void* session = accept_session(listener);
        (void)ssl_->SSL_do_handshake(session);
        char byte = 0;
        (void)ssl_->SSL_get_error(session, ssl_->SSL_read(session, &byte, 1));
        say_that_it_is_over(control);
    });
    ProfileRun run(comm);
    for (int i = 0; i < 2; i++) {
        const int fd = connect_on_loopback(target.port());
        const std::string garbage(100, 'G');
        (void)send(fd, garbage.data(), garbage.size(), MSG_NOSIGNAL);
        char byte = 0;
        (void)recv(fd, &byte, 1, 0);
        close(fd);
    }
    const int silent = connect_on_loopback(target.port());
    char byte = 0;
    (void)recv(silent, &byte, 1, 0);
    close(silent);
    Peer peer(*ssl_, target.port());
    ASSERT_TRUE(peer.shake_hands());
    nap(50ms);
    peer.drop();
    const Json profile = profile_of(target, run);
    ASSERT_TRUE(profile.is_object());
    EXPECT_EQ(profile["tls_handshake_errors"], 3);
    EXPECT_EQ(profile["tls_handshake_ns"]["count"], 4);
    EXPECT_EQ(profile["tls_read_errors"], 1);
}

TEST_F(ProfileTls, only_the_target_is_traced)
{
    const std::string comm = unique_comm();
    const std::string stranger_comm = unique_comm();
    const auto reads_all = [&](int listener, Control& control) {
        void* session = accept_session(listener);
        (void)ssl_->SSL_do_handshake(session);
        char byte = 0;
        while (ssl_->SSL_read(session, &byte, 1) == 1) {
        }
        say_that_it_is_over(control);
    };
    Target target(comm, {}, reads_all);
    Target stranger(stranger_comm, {}, reads_all);
    ProfileRun run(comm);
    for (Target* each : {&target, &stranger}) {
        Peer peer(*ssl_, each->port());
        ASSERT_TRUE(peer.shake_hands());
        peer.say(5);
        peer.close_in_good_order();
        ASSERT_TRUE(wait_until([&] { return each->control().accepted == 1; }, 5s));
    }
    const Json profile = run.stop();
    target.control().quit = true;
    stranger.control().quit = true;
    ASSERT_TRUE(profile.is_object());
    EXPECT_EQ(profile["tls_read_ns"]["count"], 5);
    EXPECT_EQ(profile["tls_handshake_ns"]["count"], 1);
    EXPECT_EQ(profile["tls"][0]["processes"], 1);
}

TEST_F(ProfileTls, a_library_that_is_named)
{
    const Outcome nowhere =
        run({drainwatch_executable(), "profile", "--tls-library", "/nowhere/libssl.so"});
    EXPECT_EQ(nowhere.code, 3);
    EXPECT_NE(nowhere.err.find("/nowhere/libssl.so"), std::string::npos) << nowhere.err;
    EXPECT_EQ(std::count(nowhere.err.begin(), nowhere.err.end(), '\n'), 1) << nowhere.err;
    const Outcome other = run({drainwatch_executable(), "profile", "--tls-library", "/bin/sh"});
    EXPECT_EQ(other.code, 3);
    EXPECT_NE(other.err.find("SSL_read"), std::string::npos) << other.err;
    EXPECT_EQ(std::count(other.err.begin(), other.err.end(), '\n'), 1) << other.err;
}

/// The file that the tests have mapped OpenSSL from.
std::string mapped_library()
{
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        if (line.find("/libssl.so") != std::string::npos) {
            return line.substr(line.find('/'));
        }
    }
    return "";
}

TEST_F(ProfileTls, a_library_that_is_named_is_traced_where_it_is_mapped)
{
    const std::string comm = unique_comm();
    Target target(comm, {}, one_message());
    ProfileRun run(comm, {"--tls-library", mapped_library()});
    Peer peer(*ssl_, target.port());
    ASSERT_TRUE(peer.shake_hands());
    peer.say(5);
    const Json profile = profile_of(target, run);
    ASSERT_TRUE(profile.is_object());
    EXPECT_EQ(profile["tls_read_ns"]["count"], 1);
    ASSERT_EQ(profile["tls"].size(), 1U);
    EXPECT_EQ(profile["tls"][0]["path"], mapped_library());
    EXPECT_EQ(profile["missing"], Json::array());
}

/// The target has the same library, but not from this file.
TEST_F(ProfileTls, a_library_that_nobody_has_mapped_is_one_sentence)
{
    const std::string copy = files_->path("libssl-copy.so");
    std::filesystem::copy_file(mapped_library(), copy);
    const std::string comm = unique_comm();
    Target target(comm, {}, one_message());
    ProfileRun run(comm, {"--tls-library", copy});
    Peer peer(*ssl_, target.port());
    ASSERT_TRUE(peer.shake_hands());
    peer.say(5);
    const Json profile = profile_of(target, run);
    ASSERT_TRUE(profile.is_object());
    EXPECT_EQ(profile["tls_read_ns"]["count"], 0);
    EXPECT_EQ(profile["tls"], Json::array());
    ASSERT_EQ(profile["missing"].size(), 1U) << profile["missing"];
    EXPECT_NE(profile["missing"][0]["reason"].get<std::string>().find(copy), std::string::npos);
}

TEST_F(ProfileTls, doctor_says_what_profile_traces)
{
    const std::string comm = unique_comm();
    Target target(comm, {}, one_message());
    ProfileRun run(comm);
    const Json profile = run.stop();
    const Outcome doctor =
        drainwatch::live::run({drainwatch_executable(), "doctor", "--process", comm});
    target.control().quit = true;
    ASSERT_TRUE(profile.is_object());
    ASSERT_EQ(profile["tls"].size(), 1U);
    const std::string calls = profile["tls"][0]["calls"];
    EXPECT_EQ(calls, "SSL_read, SSL_read_ex, SSL_do_handshake");
    EXPECT_NE(doctor.out.find(calls + " can be traced"), std::string::npos) << doctor.out;
    EXPECT_NE(doctor.out.find(profile["tls"][0]["path"].get<std::string>()), std::string::npos);
}

/// A server that is some real program.
struct Program {
    const char* name;
    const char* library;
    /// {port}, {key}, {certificate}
    const char* command;
};

class ProfileTlsPrograms : public ProfileTls, public ::testing::WithParamInterface<Program> {};

TEST_P(ProfileTlsPrograms, reads_and_handshakes_are_seen)
{
    constexpr std::size_t kMessages = 20;
    const Program program = GetParam();
    const std::string command =
        fmt::format(fmt::runtime(program.command), fmt::arg("port", kPort),
                    fmt::arg("key", files_->path("key.pem")),
                    fmt::arg("certificate", files_->path("certificate.pem")));
    const std::string first = command.substr(0, command.find(' '));
    if (!has_program(first)) {
        GTEST_SKIP() << "there is no " << first << " here";
    }
    const TlsServer server(*files_, command, kPort);
    ProfileRun run(unique_comm(),
                   {"--pid", std::to_string(server.pid()), "--port", std::to_string(kPort)});
    Peer peer(*ssl_, kPort);
    ASSERT_TRUE(peer.shake_hands());
    peer.say_often(kMessages, 30, 10ms);
    nap(100ms);
    const Json profile = run.stop();
    ASSERT_TRUE(profile.is_object());
    EXPECT_EQ(profile["tls_read_ns"]["count"], kMessages);
    EXPECT_EQ(profile["tls_read_latency_ns"]["count"], kMessages);
    EXPECT_EQ(profile["tls_handshake_ns"]["count"], 1);
    EXPECT_EQ(profile["tls_handshake_errors"], 0);
    EXPECT_EQ(profile["tls_read_errors"], 0);
    ASSERT_FALSE(profile["tls"].empty());
    EXPECT_EQ(profile["tls"][0]["library"], program.library);
    const double above = profile["tls_above_socket"];
    EXPECT_GT(above, 0);
    EXPECT_LT(above, 1);
}

INSTANTIATE_TEST_SUITE_P(
    , ProfileTlsPrograms,
    testing::Values(
        Program{"s_server", "OpenSSL",
                "openssl s_server -quiet -accept {port} -key {key} -cert {certificate}"},
        Program{"gnutls_serv", "GnuTLS",
                "gnutls-serv --echo --port {port} --x509keyfile {key} --x509certfile "
                "{certificate}"},
        Program{"python", "OpenSSL",
                "/usr/bin/python3 -c 'import ssl, socket\n"
                "c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n"
                "c.load_cert_chain(\"{certificate}\", \"{key}\")\n"
                "s = socket.create_server((\"127.0.0.1\", {port}))\n"
                "t = c.wrap_socket(s.accept()[0], server_side=True)\n"
                "while t.recv(1000): pass'"}),
    [](const auto& program) { return std::string(program.param.name); });

}  // namespace
}  // namespace drainwatch::live
