// Real handshakes of programs that speak TLS: at each end of each of them, drainwatch has to say
// what tshark reads in a capture of the same.
#include "support/scenario.hpp"
#include "support/tls_peer.hpp"
#include "tls/alert.hpp"

#include <fmt/format.h>
#include <unistd.h>
#include <algorithm>
#include <csignal>
#include <map>
#include <optional>
#include <set>
#include <sstream>

namespace drainwatch::live {
namespace {

using namespace std::chrono_literals;

constexpr std::uint16_t kPort = 18765;

constexpr auto kPythonClient =
    "/usr/bin/python3 -c 'import ssl, socket; c = ssl._create_unverified_context(); "
    "c.wrap_socket(socket.create_connection((\"127.0.0.1\", 18765))).close()'";

/// One server, and the clients that come to it one after the other.
struct Meeting {
    std::string server;
    std::vector<std::string> clients;
};

class TlsWitness : public Scenario {
protected:
    void SetUp() override
    {
        Scenario::SetUp();
        if (polls()) {
            GTEST_SKIP() << "the poll tier has no TLS facts";
        }
        if (!has_program("openssl")) {
            GTEST_SKIP() << "there is no openssl here";
        }
        files_ = std::make_unique<TlsFiles>();
    }

    /// With a configuration of our own, for the host's may not let old versions be used.
    [[nodiscard]] std::string openssl() const
    {
        return "env OPENSSL_CONF=" + files_->path("openssl.conf") + " openssl";
    }

    [[nodiscard]] std::string openssl_server(const std::string& options) const
    {
        return fmt::format(
            "{} s_server -quiet -accept {} -key {} -cert {} "
            "-cipher ALL:@SECLEVEL=0 {}",
            openssl(), kPort, files_->path("key.pem"), files_->path("certificate.pem"), options);
    }

    [[nodiscard]] std::string openssl_client(const std::string& options) const
    {
        const bool chooses = options.find("-cipher ") != std::string::npos;
        const bool v6 = options.find("-6") != std::string::npos;
        return fmt::format("{} s_client -connect {}:{} {} {}", openssl(),
                           v6 ? "[::1]" : "127.0.0.1", kPort,
                           chooses ? "" : "-cipher ALL:@SECLEVEL=0", options);
    }

    /// Every version at each end, and any.
    [[nodiscard]] std::vector<Meeting> openssl_meetings() const
    {
        const std::vector<std::string> versions{"-4 -tls1", "-4 -tls1_1", "-4 -tls1_2",
                                                "-4 -tls1_3", "-4"};
        std::vector<Meeting> meetings;
        for (const std::string& server : versions) {
            Meeting meeting{openssl_server(server), {}};
            for (const std::string& client : versions) {
                meeting.clients.push_back(openssl_client(client));
            }
            meetings.push_back(meeting);
        }
        return meetings;
    }

    void play(const std::vector<Meeting>& meetings)
    {
        for (const Meeting& meeting : meetings) {
            const TlsServer server(*files_, meeting.server, kPort);
            for (const std::string& client : meeting.clients) {
                (void)run({"sh", "-c", "timeout 10 " + client + " </dev/null"});
            }
        }
    }

    [[nodiscard]] const TlsFiles& files() const { return *files_; }

    /// What drainwatch said of one end of a connection.
    struct Told {
        std::optional<Json> handshake;
        std::vector<Json> alerts;
    };
    /// By the client's port; at the end whose role this is.
    [[nodiscard]] std::map<std::uint16_t, Told> told(const std::string& role)
    {
        const std::string own = role == "client" ? "remote" : "local";
        const std::string other = role == "client" ? "local" : "remote";
        std::map<std::uint16_t, Told> ends;
        for (const Line& line : watcher().lines([](const Line& l) {
                 return l.event() == "tls_handshake" || l.event() == "tls_alert";
             })) {
            const Json& socket = line.json["socket"];
            if (port_of(socket[own]) != kPort) {
                continue;
            }
            Told& end = ends[port_of(socket[other])];
            if (line.event() == "tls_alert") {
                end.alerts.push_back(line.json);
            } else {
                EXPECT_FALSE(end.handshake) << "told twice";
                EXPECT_EQ(line.json["role"], role);
                end.handshake = line.json;
            }
        }
        return ends;
    }

private:
    static std::uint16_t port_of(const std::string& endpoint)
    {
        return static_cast<std::uint16_t>(std::stoul(endpoint.substr(endpoint.rfind(':') + 1)));
    }

    std::unique_ptr<TlsFiles> files_;
};

/// tshark's word on one connection.
struct Witnessed {
    std::string offered_max;
    std::string selected;
    std::string cipher_suite;
    /// Those in the clear: who sent it, and its name.
    std::multiset<std::pair<std::string, std::string>> alerts;
};

std::vector<std::string> split(const std::string& text, char separator)
{
    std::vector<std::string> parts;
    std::istringstream stream(text);
    for (std::string part; std::getline(stream, part, separator);) {
        parts.push_back(part);
    }
    return parts;
}

std::string version_name(unsigned long version)
{
    return version == 0x0300 ? "SSLv3" : fmt::format("TLSv1.{}", version - 0x0301);
}

/// Numbers and IANA names of suites, by openssl.
std::map<unsigned long, std::string> suites_of_openssl()
{
    std::map<unsigned long, std::string> suites;
    const Outcome list =
        run({"openssl", "ciphers", "-V", "-stdname", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"});
    for (const std::string& line : split(list.out, '\n')) {
        // "0x13,0x02 - TLS_AES_256_GCM_SHA384 - ..."
        std::istringstream words(line);
        std::string number;
        std::string dash;
        std::string name;
        if (words >> number >> dash >> name && number.size() == 9) {
            suites[std::stoul(number.substr(2, 2) + number.substr(7, 2), nullptr, 16)] = name;
        }
    }
    return suites;
}

/// By the client's port.
std::map<std::uint16_t, Witnessed> ask_tshark(const std::string& file)
{
    const auto suites = suites_of_openssl();
    std::map<std::uint16_t, Witnessed> connections;
    const Outcome said = run({"tshark",
                              "-r",
                              file,
                              "-d",
                              fmt::format("tcp.port=={},tls", kPort),
                              "-Y",
                              "tls",
                              "-T",
                              "fields",
                              "-E",
                              "occurrence=a",
                              "-e",
                              "tcp.srcport",
                              "-e",
                              "tcp.dstport",
                              "-e",
                              "tls.handshake.type",
                              "-e",
                              "tls.handshake.version",
                              "-e",
                              "tls.handshake.extensions.supported_version",
                              "-e",
                              "tls.handshake.ciphersuite",
                              "-e",
                              "tls.alert_message.desc"});
    for (const std::string& line : split(said.out, '\n')) {
        auto fields = split(line, '\t');
        fields.resize(7);
        const auto source = static_cast<std::uint16_t>(std::stoul(fields[0]));
        const auto dest = static_cast<std::uint16_t>(std::stoul(fields[1]));
        const bool by_client = dest == kPort;
        Witnessed& connection = connections[by_client ? source : dest];
        const auto types = split(fields[2], ',');
        const std::string hello = by_client ? "1" : "2";
        if (std::find(types.begin(), types.end(), hello) != types.end()) {
            unsigned long highest = 0;
            const auto versions = split(fields[4].empty() ? fields[3] : fields[4], ',');
            for (const std::string& version : versions) {
                const unsigned long number = std::stoul(version, nullptr, 16);
                if (number >= 0x0300 && number <= 0x0304) {
                    highest = std::max(highest, number);
                }
            }
            (by_client ? connection.offered_max : connection.selected) = version_name(highest);
            if (!by_client) {
                const unsigned long suite = std::stoul(split(fields[5], ',')[0], nullptr, 16);
                connection.cipher_suite = suites.contains(suite) ? suites.at(suite) : fields[5];
            }
        }
        for (const std::string& alert : split(fields[6], ',')) {
            connection.alerts.emplace(
                by_client ? "client" : "server",
                tls::alert_name(static_cast<std::uint8_t>(std::stoul(alert))));
        }
    }
    return connections;
}

std::string text_of(const Json& value)
{
    return value.is_null() ? "" : value.get<std::string>();
}

TEST_F(TlsWitness, agrees_with_tshark)
{
    for (const char* program :
         {"tshark", "gnutls-cli", "gnutls-serv", "curl", "/usr/bin/python3"}) {
        if (!has_program(program)) {
            GTEST_SKIP() << "there is no " << program << " here";
        }
    }
    auto meetings = openssl_meetings();
    const std::string suites = "-4 -tls1_2 -cipher ";
    meetings.push_back({openssl_server("-4"),
                        {openssl_client(suites + "ECDHE-RSA-CHACHA20-POLY1305"),
                         openssl_client(suites + "AES128-CCM8:@SECLEVEL=0"),
                         openssl_client(suites + "AES256-SHA:@SECLEVEL=0"),
                         openssl_client(suites + "ECDHE-RSA-AES256-SHA384"),
                         openssl_client(suites + "AES128-SHA256"),
                         openssl_client("-4 -tls1_2 -verify_return_error"),
                         openssl_client("-4 -tls1_3 -verify_return_error"),
                         openssl_client("-4 -curves X25519:P-521"),
                         openssl_client("-4 -servername host.example"), kPythonClient,
                         fmt::format("gnutls-cli --insecure -p {} localhost "
                                     "--priority NORMAL:-VERS-ALL:+VERS-TLS1.2",
                                     kPort),
                         fmt::format("gnutls-cli -p {} localhost", kPort)}});
    meetings.push_back(
        {openssl_server("-4 -curves P-521"), {openssl_client("-4 -curves X25519:P-521")}});
    meetings.push_back({openssl_server("-4 -tls1_2 -cipher AES128-SHA256"),
                        {openssl_client("-4 -tls1_2 -cipher AES256-SHA256")}});
    meetings.push_back(
        {openssl_server("-6"),
         {openssl_client("-6 -tls1"), openssl_client("-6 -tls1_2"), openssl_client("-6 -tls1_3")}});
    meetings.push_back({openssl_server("-4 -www"),
                        {fmt::format("curl -sk --tls-max 1.2 https://127.0.0.1:{}/", kPort),
                         fmt::format("curl -sk --tlsv1.3 https://127.0.0.1:{}/", kPort),
                         fmt::format("curl -s https://127.0.0.1:{}/", kPort)}});
    meetings.push_back(
        {fmt::format("gnutls-serv --echo --port {} --x509keyfile {} --x509certfile {} "
                     "--priority NORMAL:+VERS-ALL",
                     kPort, files().path("key.pem"), files().path("certificate.pem")),
         {fmt::format("gnutls-cli --insecure -p {} localhost", kPort),
          fmt::format("gnutls-cli --insecure -p {} localhost --priority "
                      "NORMAL:-VERS-ALL:+VERS-TLS1.0",
                      kPort),
          openssl_client("-4 -tls1_2"), openssl_client("-4 -tls1_3"), openssl_client("-4 -tls1")}});
    meetings.push_back(
        {fmt::format("/usr/bin/python3 -c 'import ssl, socket\n"
                     "c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n"
                     "c.load_cert_chain(\"{}\", \"{}\")\n"
                     "s = socket.create_server((\"127.0.0.1\", {}))\n"
                     "while True:\n"
                     "  try: c.wrap_socket(s.accept()[0], server_side=True).close()\n"
                     "  except OSError: pass'",
                     files().path("certificate.pem"), files().path("key.pem"), kPort),
         {openssl_client("-4 -tls1_2"), openssl_client("-4 -tls1_3"), openssl_client("-4 -tls1")}});

    const std::string file = files().path("capture");
    {
        const Process tcpdump = Process::spawn({"tcpdump", "-i", "lo", "-U", "-B", "8192", "-w",
                                                file, "tcp", "port", std::to_string(kPort)});
        nap(1s);
        watch_all({"--port", std::to_string(kPort)});
        play(meetings);
        nap(1s);
        tcpdump.signal(SIGTERM);
        nap(500ms);
    }
    finish();

    const auto witnessed = ask_tshark(file);
    unsigned handshakes = 0;
    for (const std::string role : {"client", "server"}) {
        const auto ends = told(role);
        EXPECT_EQ(ends.size(), witnessed.size());
        for (const auto& [port, witness] : witnessed) {
            SCOPED_TRACE(fmt::format("port {} at the {}: {} {} {}", port, role, witness.offered_max,
                                     witness.selected, witness.cipher_suite));
            const auto end = ends.find(port);
            ASSERT_TRUE(end != ends.end());
            ASSERT_TRUE(end->second.handshake);
            const Json& handshake = *end->second.handshake;
            EXPECT_EQ(handshake["offered_max"], witness.offered_max);
            EXPECT_EQ(text_of(handshake["selected"]), witness.selected);
            EXPECT_EQ(text_of(handshake["cipher_suite"]), witness.cipher_suite);
            std::multiset<std::pair<std::string, std::string>> alerts;
            for (const Json& alert : end->second.alerts) {
                if (!alert["description"].is_null()) {
                    const bool by_client = (alert["from"] == "local") == (role == "client");
                    alerts.emplace(by_client ? "client" : "server", alert["description"]);
                }
            }
            EXPECT_EQ(alerts, witness.alerts);
            handshakes++;
        }
    }
    fmt::print("{} handshakes, each seen at both ends\n", handshakes / 2);
    EXPECT_GE(handshakes, 2U * 40);
}

/// The same without tshark, which the emulated machines do not have: what openssl is told to do.
TEST_F(TlsWitness, versions_of_openssl)
{
    watch_all({"--port", std::to_string(kPort)});
    play(
        {{openssl_server("-4"),
          {openssl_client("-4 -tls1"), openssl_client("-4 -tls1_2"), openssl_client("-4 -tls1_3")}},
         {openssl_server("-6 -tls1_2"), {openssl_client("-6 -tls1_3"), openssl_client("-6")}}});
    nap(1s);
    EXPECT_EQ(finish(), 1);
    for (const std::string role : {"client", "server"}) {
        std::multiset<std::string> told_results;
        for (const auto& [port, end] : told(role)) {
            ASSERT_TRUE(end.handshake);
            const Json& handshake = *end.handshake;
            told_results.insert(text_of(handshake["offered_max"]) + " " +
                                text_of(handshake["selected"]) + " " +
                                text_of(handshake["result"]));
        }
        EXPECT_EQ(told_results, (std::multiset<std::string>{
                                    "TLSv1.0 TLSv1.0 completed", "TLSv1.2 TLSv1.2 completed",
                                    "TLSv1.3 TLSv1.3 completed", "TLSv1.3  refused",
                                    "TLSv1.3 TLSv1.2 completed"}))
            << role;
    }
}

}  // namespace
}  // namespace drainwatch::live
