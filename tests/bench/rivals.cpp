#include "bench/rivals.hpp"

#include "bench/queue_samples.hpp"
#include "bench/tool.hpp"
#include "support/process.hpp"

#include <fmt/format.h>

namespace drainwatch::bench {
namespace {

using namespace std::chrono_literals;

/// What drainwatch's --warn-after is by itself is granted to all who must wait.
constexpr std::uint64_t kStallNs = 1'000'000'000;

/// bpftrace needs tracefs, which not every host has mounted; the mount is seen by nobody else.
constexpr auto kBpftrace =
    "mount -t tracefs none /sys/kernel/tracing && exec bpftrace -B line -e '{}'";

/// The oldest unread arrival of each socket; it can tell of its age as the next segment comes.
constexpr auto kScript = R"(
tracepoint:tcp:tcp_probe /args->sport == {0} && args->data_len > 0/ {{
  if (@oldest[args->sock_cookie] == 0) {{
    @oldest[args->sock_cookie] = nsecs;
  }} else if (nsecs - @oldest[args->sock_cookie] > {1} && @told[args->sock_cookie] == 0) {{
    @told[args->sock_cookie] = 1;
    printf("unread for a second: %llx\n", args->sock_cookie);
  }}
}}
tracepoint:tcp:tcp_rcv_space_adjust /args->sport == {0}/ {{
  @oldest[args->sock_cookie] = 0;
  @told[args->sock_cookie] = 0;
}})";

/// The first line with this text.
auto line_with(std::string text)
{
    return [text = std::move(text)](const std::vector<TimedLine>& lines,
                                    std::uint64_t from_ns) -> std::optional<TimedLine> {
        for (const TimedLine& line : lines) {
            if (line.read_ns >= from_ns && line.text.find(text) != std::string::npos) {
                return line;
            }
        }
        return std::nullopt;
    };
}

std::optional<TimedLine> never_told(const std::vector<TimedLine>& /*lines*/,
                                    std::uint64_t /*from_ns*/)
{
    return std::nullopt;
}

std::optional<TimedLine> growing_queue(const std::vector<TimedLine>& lines, std::uint64_t from_ns)
{
    std::vector<QueueSample> samples;
    std::vector<TimedLine> sampled;
    for (const TimedLine& line : lines) {
        const auto bytes = receive_queue(line.text);
        if (line.read_ns >= from_ns && bytes) {
            samples.push_back({line.read_ns, *bytes});
            sampled.push_back(line);
        }
    }
    const auto stalled = first_stall(samples, kStallNs);
    return stalled ? std::optional(sampled[*stalled]) : std::nullopt;
}

}  // namespace

std::vector<Rival> rivals(const std::string& comm, std::uint16_t port, const std::string& file)
{
    const std::string number = std::to_string(port);
    return {
        {"drainwatch",
         {live::drainwatch_executable(), "watch", "--cpu-budget", "0", "--process", comm, "--port",
          number},
         1200ms,
         "its first `not_draining`",
         line_with("not_draining")},
        {"bpftrace, two tracepoints",
         {"unshare", "-m", "sh", "-c",
          fmt::format(kBpftrace, fmt::format(kScript, port, kStallNs))},
         2500ms,
         "its line for a byte that has been unread for 1 s, which only a further segment can bring",
         line_with("unread for a second")},
        {"ss -tmi, 20 a second",
         {"sh", "-c", fmt::format("while :; do ss -Htmi 'sport = :{}'; sleep 0.05; done", port)},
         500ms,
         "the first sample after 1 s in which Recv-Q was neither empty nor became shorter; "
         "somebody must keep the samples and compare them",
         growing_queue},
        {"tshark, zero windows live",
         {"tshark", "-i", "lo", "-f", "tcp port " + number, "-Y", "tcp.analysis.zero_window", "-l"},
         2500ms,
         "its first line",
         line_with("")},
        {"tcpdump to a file",
         {"tcpdump", "-i", "lo", "-n", "-Z", "root", "-w", file, "tcp port " + number},
         1000ms,
         "nothing before somebody reads the file",
         never_told},
    };
}

}  // namespace drainwatch::bench
