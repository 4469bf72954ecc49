#include "support/tls_peer.hpp"

#include "support/control.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace drainwatch::live {

using namespace std::chrono_literals;

bool has_program(const std::string& name)
{
    return run({"sh", "-c", "command -v " + name}).code == 0;
}

TlsFiles::TlsFiles() : folder_(fmt::format("/tmp/drainwatch-tls-{}", getpid()))
{
    std::filesystem::create_directory(folder_);
    std::ofstream(path("openssl.conf")) << "[req]\ndistinguished_name = name\n[name]\n";
    if (mkfifo(path("silence").c_str(), S_IRUSR | S_IWUSR) != 0) {
        throw std::runtime_error("no pipe");
    }
    const Outcome made = run({"openssl", "req", "-config", path("openssl.conf"), "-x509", "-newkey",
                              "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                              "-keyout", path("key.pem"), "-out", path("certificate.pem")});
    if (made.code != 0) {
        throw std::runtime_error("no certificate: " + made.err);
    }
}

TlsFiles::~TlsFiles()
{
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

bool is_listening(std::uint16_t port)
{
    const std::string place = fmt::format(":{:04X} ", port);
    for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
        std::ifstream lines(table);
        for (std::string line; std::getline(lines, line);) {
            if (line.find(place) != std::string::npos &&
                line.find(":0000 0A ") != std::string::npos) {
                return true;
            }
        }
    }
    return false;
}

TlsServer::TlsServer(const TlsFiles& files, const std::string& command, std::uint16_t port)
    : process_(Process::spawn({"sh", "-c", "exec " + command + " <>" + files.path("silence")}))
{
    if (!wait_until([&] { return is_listening(port); }, 10s)) {
        throw std::runtime_error("does not listen: " + command);
    }
}

}  // namespace drainwatch::live
