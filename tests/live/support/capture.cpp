#include "support/capture.hpp"

#include "support/control.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <stdexcept>

namespace drainwatch::live {
namespace {

constexpr std::size_t kEthernetHeader = 14;

/// RFC 7323: kind 3, length 3. 0 without it, or where the capture ends before.
std::uint8_t window_scale(const u_char* options, const u_char* end)
{
    while (options < end && *options != TCPOPT_EOL) {
        if (*options == TCPOPT_NOP) {
            options++;
            continue;
        }
        if (end - options < 2 || options[1] < 2 || end - options < options[1]) {
            return 0;
        }
        if (*options == TCPOPT_WINDOW && options[1] == TCPOLEN_WINDOW) {
            return options[2];
        }
        options += options[1];
    }
    return 0;
}

std::optional<Segment> parse(const pcap_pkthdr& header, const u_char* bytes)
{
    if (header.caplen < kEthernetHeader + sizeof(ip6_hdr)) {
        return std::nullopt;
    }
    const u_char* at = bytes + kEthernetHeader;
    std::size_t ip_length = 0;
    std::size_t total = 0;
    if (at[0] >> 4 == 4) {
        iphdr ip{};
        std::memcpy(&ip, at, sizeof(ip));
        ip_length = ip.ihl * 4U;
        total = ntohs(ip.tot_len);
    } else {
        ip6_hdr ip{};
        std::memcpy(&ip, at, sizeof(ip));
        ip_length = sizeof(ip);
        total = sizeof(ip) + ntohs(ip.ip6_plen);
    }
    tcphdr tcp{};
    if (header.caplen < kEthernetHeader + ip_length + sizeof(tcp)) {
        return std::nullopt;
    }
    std::memcpy(&tcp, at + ip_length, sizeof(tcp));
    Segment segment;
    segment.at_ns = static_cast<std::uint64_t>(header.ts.tv_sec) * 1'000'000'000 +
                    static_cast<std::uint64_t>(header.ts.tv_usec);  // nanoseconds in this file
    segment.source = ntohs(tcp.source);
    segment.dest = ntohs(tcp.dest);
    segment.seq = ntohl(tcp.seq);
    segment.ack_seq = ntohl(tcp.ack_seq);
    segment.length = static_cast<std::uint32_t>(total - ip_length - tcp.doff * 4U);
    segment.window = ntohs(tcp.window);
    segment.syn = tcp.syn;
    segment.fin = tcp.fin;
    segment.rst = tcp.rst;
    segment.ack = tcp.ack;
    if (segment.syn) {
        const std::size_t headers = kEthernetHeader + ip_length + tcp.doff * 4U;
        segment.window_scale = window_scale(bytes + kEthernetHeader + ip_length + sizeof(tcp),
                                            bytes + std::min<std::size_t>(headers, header.caplen));
    }
    return segment;
}

/// tcpdump says so on stderr when it has begun. It writes that line in pieces: who stops listening
/// after the first kills it with the next. `text`: what it said.
bool wait_for_listening(int fd, std::string& text)
{
    return wait_until(
        [&] {
            pollfd ready{fd, POLLIN, 0};
            if (poll(&ready, 1, 10) <= 0) {
                return false;
            }
            std::array<char, 512> buffer{};
            const ssize_t length = read(fd, buffer.data(), buffer.size());
            text.append(buffer.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
            const std::size_t said = text.find("listening on");
            return said != std::string::npos && text.find('\n', said) != std::string::npos;
        },
        std::chrono::seconds(10));
}

/// "3 packets dropped by kernel", which it says at its end.
bool lost_packets(int fd)
{
    std::string text;
    std::array<char, 512> buffer{};
    for (ssize_t length = 0; (length = read(fd, buffer.data(), buffer.size())) > 0;) {
        text.append(buffer.data(), static_cast<std::size_t>(length));
    }
    return text.find("\n0 packets dropped by kernel") == std::string::npos;
}

}  // namespace

Capture::Capture(std::uint16_t port, const std::string& netns) : port_(port)
{
    // What is kept in memory is gone with this process, however that ends.
    packets_ = File(memfd_create("packets", MFD_CLOEXEC));
    if (!packets_) {
        throw std::runtime_error("no memory for the packets");
    }
    std::vector<std::string> command;
    if (!netns.empty()) {
        command = {"ip", "netns", "exec", netns};
    }
    for (const char* argument :
         {"tcpdump", "-i", "lo", "-n", "-U", "-Z", "root", "-s", "128", "-B", "16384",
          "--immediate-mode", "--time-stamp-precision=nano", "-w", "-"}) {
        command.emplace_back(argument);
    }
    command.push_back("tcp port " + std::to_string(port));
    std::array<int, 2> err{};
    if (pipe2(err.data(), O_CLOEXEC) != 0) {
        throw std::runtime_error("no pipe");
    }
    said_ = File(err[0]);
    const File says(err[1]);
    tcpdump_.emplace(Process::spawn(command, packets_.get(), says.get()));
    std::string said;
    if (!wait_for_listening(said_.get(), said)) {
        throw std::runtime_error("tcpdump did not start: " + said);
    }
}

void Capture::stop()
{
    if (!tcpdump_) {
        return;
    }
    usleep(50'000);  // the last packets are on their way
    // It sleeps only when it has taken all of them.
    (void)wait_until([&] { return tcpdump_->is_asleep(); }, std::chrono::seconds(10));
    tcpdump_->signal(SIGINT);
    tcpdump_->wait();
    tcpdump_.reset();
    if (lost_packets(said_.get())) {
        throw std::runtime_error("tcpdump lost packets: it is no witness");
    }
    lseek(packets_.get(), 0, SEEK_SET);
    FILE* packets = fdopen(packets_.release(), "r");
    if (packets == nullptr) {
        throw std::runtime_error("the packets cannot be read");
    }
    std::array<char, PCAP_ERRBUF_SIZE> error{};
    pcap_t* file =
        pcap_fopen_offline_with_tstamp_precision(packets, PCAP_TSTAMP_PRECISION_NANO, error.data());
    if (file == nullptr) {
        throw std::runtime_error(error.data());
    }
    pcap_pkthdr* header = nullptr;
    const u_char* bytes = nullptr;
    while (pcap_next_ex(file, &header, &bytes) == 1) {
        if (const auto segment = parse(*header, bytes)) {
            segments_.push_back(*segment);
        }
    }
    pcap_close(file);
}

std::optional<std::uint64_t> Capture::first_zero_ns(std::uint16_t peer) const
{
    for (const Segment& s : segments_) {
        if (s.source == port_ && s.dest == peer && s.ack && !s.syn && !s.rst && s.window == 0) {
            return s.at_ns;
        }
    }
    return std::nullopt;
}

bool Capture::closed_at(std::uint16_t peer, std::uint64_t at_ns) const
{
    bool closed = false;
    for (const Segment& s : segments_) {
        if (s.source == port_ && s.dest == peer && s.ack && !s.syn && !s.rst && s.at_ns <= at_ns) {
            closed = s.window == 0;
        }
    }
    return closed;
}

std::optional<std::uint64_t> Capture::byte_sent_ns(std::uint16_t peer, std::uint64_t offset) const
{
    std::optional<std::uint32_t> first;
    for (const Segment& s : segments_) {
        if (s.dest != port_ || s.source != peer) {
            continue;
        }
        if (s.syn) {
            first = s.seq + 1;
        }
        const auto end = static_cast<std::int32_t>(s.seq + s.length - first.value_or(s.seq));
        if (first && s.length > 0 && end > static_cast<std::int64_t>(offset)) {
            return s.at_ns;
        }
    }
    return std::nullopt;
}

}  // namespace drainwatch::live
