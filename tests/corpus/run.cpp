#include "corpus/run.hpp"

#include "corpus/ledger.hpp"
#include "corpus/peers.hpp"
#include "corpus/readers.hpp"
#include "support/capture.hpp"
#include "support/control.hpp"
#include "support/control_group.hpp"
#include "support/stall_gauge.hpp"
#include "support/target.hpp"
#include "support/watcher.hpp"

#include <fmt/format.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>

namespace drainwatch::corpus {
namespace {

using namespace std::chrono_literals;
using live::ControlGroup;
using live::Line;
using live::nap;
using live::realtime_ns;

/// An episode is over this long after its reader reads again, or the line is missing.
constexpr auto kRecoversWithin = 4s;
constexpr auto kAcceptsWithin = 10s;
/// Windows stay closed so long.
constexpr auto kAfterZero = 150ms;

void enter_own_namespace()
{
    if (unshare(CLONE_NEWNET) != 0) {
        throw std::runtime_error("cannot make a network namespace; the corpus needs root");
    }
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ifreq request{};
    std::string("lo").copy(request.ifr_name, IFNAMSIZ - 1);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    if (ioctl(fd, SIOCSIFFLAGS, &request) != 0) {
        throw std::runtime_error("cannot raise lo");
    }
    close(fd);
}

void set_sysctl(const std::string& name, const std::string& value)
{
    std::ofstream file("/proc/sys/net/ipv4/" + name);
    file << value << std::flush;
    if (!file) {
        throw std::runtime_error("this kernel has no net.ipv4." + name);
    }
}

live::Listen listen_as(const Plan& plan)
{
    live::Listen listen;
    listen.family = plan.family == Family::v4 ? AF_INET : AF_INET6;
    listen.v4_mapped = plan.family == Family::v4_mapped;
    listen.rcvbuf = static_cast<int>(plan.rcvbuf);
    listen.backlog = 4096;
    return listen;
}

std::chrono::milliseconds ms(std::uint32_t count)
{
    return std::chrono::milliseconds(count);
}

bool has_socket(const Line& line)
{
    return line.json.contains("socket");
}

bool is_warning(const Line& line)
{
    return line.json["severity"] != "info";
}

bool is_about(const Line& line, const Link& link)
{
    return has_socket(line) && line.json["socket"]["remote"].get<std::string>().ends_with(
                                   fmt::format(":{}", link.peer_port));
}

Said said_in(const Line& line)
{
    Said said;
    said.line = line.json;
    said.event = line.event();
    said.severity = line.json["severity"];
    said.read_ns = line.read_ns;
    said.written_ns = live::parse_time(line.json["ts"]);
    said.estimated = line.json.value("estimated", false);
    if (const auto at = line.json.find("announced_at"); at != line.json.end() && at->is_string()) {
        said.announced_ns = live::parse_time(*at);
    }
    if (const auto in = line.json.find("zero_window_in_ms");
        in != line.json.end() && in->is_number()) {
        said.zero_in_ms = in->get<std::uint64_t>();
    }
    return said;
}

/// A target, its peers, tcpdump and drainwatch: one run.
class Stage {
public:
    explicit Stage(const Plan& plan) : plan_(plan), comm_(fmt::format("corpus-{}", getpid()))
    {
        raise_target();
    }

    ~Stage()
    {
        (*ledger_)->quit = true;
        (*ledger_)->trouble = false;
    }
    Stage(const Stage&) = delete;
    Stage& operator=(const Stage&) = delete;

    Observation play()
    {
        start_watching();
        connect_peers();
        if (plan_.trouble == Trouble::target_restart) {
            restart_target();
        }
        nap(ms(plan_.warm_ms));
        if (plan_.trouble == Trouble::pauses) {
            make_pauses();
        } else if (plan_.trouble == Trouble::none) {
            nap(ms(plan_.trouble_ms));
        } else {
            make_trouble();
        }
        return finish();
    }

private:
    void raise_target()
    {
        target_.reset();
        ledger_ = std::make_unique<SharedLedger>();
        Ledger& ledger = **ledger_;
        target_ = std::make_unique<live::Target>(
            comm_, listen_as(plan_),
            [&](int listener, live::Control&) { read_links(listener, plan_, ledger); });
        capture_ = std::make_unique<live::Capture>(target_->port());
    }

    void start_watching()
    {
        // Several run at once, which is no budget for one.
        std::vector<std::string> arguments{"--process", comm_,          "--verbose", "--duration",
                                           "100s",      "--cpu-budget", "0"};
        if (plan_.polled) {
            arguments.insert(arguments.end(), {"--tier", "poll"});
        }
        watcher_ = std::make_unique<live::Watcher>(arguments);
        const Line start = watcher_->lines(live::event_is("start")).front();
        observation_.watched_ns = start.read_ns;
        observation_.version = start.json["version"];
    }

    void connect_peers()
    {
        peers_ = std::make_unique<Peers>(target_->port(), plan_);
        peers_->start();
        if (plan_.trouble == Trouble::never_accepted) {
            return;
        }
        const std::uint32_t all = plan_.links + plan_.idle_links + plan_.half_open;
        if (!live::wait_until([&] { return (*ledger_)->links >= all; }, kAcceptsWithin)) {
            throw std::runtime_error("the target did not accept every link");
        }
    }

    void restart_target()
    {
        nap(500ms);
        target_->process().signal(SIGKILL);
        (void)target_->process().wait();
        peers_.reset();
        raise_target();
        nap(100ms);
        connect_peers();
    }

    void make_pauses()
    {
        for (const std::uint32_t length : plan_.pauses_ms) {
            (*ledger_)->trouble = true;
            nap(ms(length));
            (*ledger_)->trouble = false;
            nap(1000ms);
        }
    }

    /// A thousandth of a CPU is left to it.
    void starve(const ControlGroup& group)
    {
        if (!group.limit_cpu(1ms, 1s) || !group.add(target_->pid())) {
            throw std::runtime_error("cannot make a cgroup with a quota of CPU time");
        }
    }

    void make_trouble()
    {
        std::optional<ControlGroup> group;
        observation_.trouble.begin_ns = realtime_ns();
        switch (plan_.trouble) {
            case Trouble::sigstop: target_->process().signal(SIGSTOP); break;
            case Trouble::starvation: starve(group.emplace(ControlGroup::Controller::cpu)); break;
            default: (*ledger_)->trouble = true; break;
        }
        if (plan_.trouble == Trouble::tool_restart) {
            restart_tool();
        }
        wait_for_the_worst();
        note_last_reads();
        observation_.trouble.end_ns = realtime_ns();
        if (plan_.reset) {
            target_->process().signal(SIGKILL);
            (void)target_->process().wait();
            nap(300ms);
            return;
        }
        group.reset();
        target_->process().signal(SIGCONT);
        (*ledger_)->trouble = false;
        const bool ends =
            plan_.trouble != Trouble::never_accepted && plan_.trouble != Trouble::unread_hello;
        if (ends) {
            wait_for_recovery();
        }
    }

    void restart_tool()
    {
        nap(ms(plan_.trouble_ms / 20));
        watcher_->process().signal(SIGKILL);
        (void)watcher_->process().wait();
        for (const Line& line : watcher_->lines(is_warning)) {
            if (line.read_ns < observation_.trouble.begin_ns) {
                observation_.strays.push_back(said_in(line));
            }
        }
        start_watching();
    }

    /// Every window is closed, or the time is over.
    void wait_for_the_worst()
    {
        const auto all_closed = [&] {
            return plan_.to_zero && links_with("zero_window") >= plan_.links;
        };
        if (live::wait_until(all_closed, ms(plan_.trouble_ms))) {
            nap(kAfterZero);
        }
    }

    void wait_for_recovery()
    {
        (void)live::wait_until([&] { return links_in_trouble() == 0; }, kRecoversWithin);
    }

    [[nodiscard]] std::size_t links_in_trouble()
    {
        std::set<std::string> remotes;
        for (const Line& line : watcher_->lines(has_socket)) {
            const std::string remote = line.json["socket"]["remote"];
            if (line.is_trouble()) {
                remotes.insert(remote);
            } else if (line.event() == "recovered" || line.event() == "link_ended") {
                remotes.erase(remote);
            }
        }
        return remotes.size();
    }

    [[nodiscard]] std::size_t links_with(const std::string& event)
    {
        std::set<std::string> remotes;
        for (const Line& line : watcher_->lines(live::event_is(event))) {
            remotes.insert(line.json["socket"]["remote"]);
        }
        return remotes.size();
    }

    void note_last_reads()
    {
        observation_.links.clear();
        if (plan_.trouble == Trouble::never_accepted) {
            for (const std::uint16_t port : peers_->ports()) {
                observation_.links.push_back({port, 0, {}, {}, {}});
                bytes_read_.push_back(0);
            }
            return;
        }
        for (std::uint32_t i = 0; i < plan_.links; i++) {
            const LinkLedger& link = (*ledger_)->link[i];
            observation_.links.push_back(
                {static_cast<std::uint16_t>(link.peer_port.load()), link.last_read_ns, {}, {}, {}});
            bytes_read_.push_back(link.bytes_read);
        }
    }

    Observation finish()
    {
        if (observation_.links.empty()) {
            note_last_reads();
        }
        capture_->stop();
        observation_.ended_ns = realtime_ns();
        (void)watcher_->stop();
        observation_.stalls = gauge_.stalls();
        add_strays();
        for (std::size_t i = 0; i < observation_.links.size(); i++) {
            add_witness(observation_.links[i], bytes_read_[i]);
            add_holds(observation_.links[i]);
            add_gaps(observation_.links[i], (*ledger_)->link[i]);
            add_lines(observation_.links[i]);
        }
        return std::move(observation_);
    }

    void add_witness(Link& link, std::uint64_t bytes_read)
    {
        link.witness.first_unread_ns = capture_->byte_sent_ns(link.peer_port, bytes_read);
        bool closed = false;
        std::uint8_t scale = 0;
        std::uint32_t edge = 0;  // up to where the peer may send
        std::uint64_t widened_ns = 0;
        for (const live::Segment& s : capture_->segments()) {
            if (s.source != target_->port() || s.dest != link.peer_port) {
                continue;
            }
            if (s.syn) {
                scale = s.window_scale;
            }
            if (s.rst && !link.witness.reset_ns) {
                link.witness.reset_ns = s.at_ns;
            }
            if (!s.ack || s.syn || s.rst) {
                continue;
            }
            const std::uint32_t now = s.ack_seq + (std::uint32_t{s.window} << scale);
            if (widened_ns == 0 || static_cast<std::int32_t>(now - edge) > 0) {
                edge = now;
                widened_ns = s.at_ns;
            }
            if (s.window == 0 && !closed) {
                link.witness.zeros_ns.push_back(s.at_ns);
                link.witness.widened_ns.push_back(widened_ns);
            }
            closed = s.window == 0;
        }
    }

    /// A peer whose next segment does not fit waits, as with a zero window; slow readers are such
    /// that the window hovers there. Its next segment is taken to be as long as its longest was.
    void add_holds(Link& link)
    {
        std::uint8_t scale = 0;
        std::uint32_t sent = 0;  // end of what the peer has sent
        std::uint32_t longest = 0;
        bool held = false;
        for (const live::Segment& s : capture_->segments()) {
            if (s.source == link.peer_port && s.dest == target_->port()) {
                const std::uint32_t end = s.seq + s.length + (s.syn ? 1 : 0);
                sent = s.syn || static_cast<std::int32_t>(end - sent) > 0 ? end : sent;
                longest = std::max(longest, s.length);
            } else if (s.source == target_->port() && s.dest == link.peer_port && s.syn) {
                scale = s.window_scale;
            } else if (s.source == target_->port() && s.dest == link.peer_port && s.ack && !s.rst) {
                const std::uint32_t edge = s.ack_seq + (std::uint32_t{s.window} << scale);
                const bool fits = static_cast<std::int32_t>(edge - sent - longest) >= 0;
                if (!fits && !held) {
                    link.witness.holds_ns.push_back(s.at_ns);
                }
                held = !fits;
            }
        }
    }

    void add_gaps(Link& link, const LinkLedger& ledger)
    {
        for (std::uint32_t i = 0; i < ledger.gaps; i++) {
            link.gaps.push_back(ledger.gap[i]);
        }
        // Data may come before the connection is accepted, or later.
        const auto first_ns = capture_->byte_sent_ns(link.peer_port, 0);
        if (first_ns && !link.gaps.empty()) {
            link.gaps.front().begin_ns = std::min(*first_ns, link.gaps.front().end_ns);
        }
        const std::uint64_t last_ns =
            std::max(ledger.last_read_ns.load(), link.witness.first_unread_ns.value_or(0));
        if (last_ns != 0) {
            link.gaps.push_back({last_ns, realtime_ns()});
        }
    }

    void add_lines(Link& link)
    {
        for (const Line& line : watcher_->lines(has_socket)) {
            if (is_about(line, link)) {
                link.said.push_back(said_in(line));
            }
        }
    }

    void add_strays()
    {
        for (const Line& line : watcher_->lines(is_warning)) {
            const auto& links = observation_.links;
            if (std::none_of(links.begin(), links.end(),
                             [&](const Link& link) { return is_about(line, link); })) {
                observation_.strays.push_back(said_in(line));
            }
        }
    }

    const Plan& plan_;
    std::string comm_;
    live::StallGauge gauge_;
    std::unique_ptr<SharedLedger> ledger_;
    std::unique_ptr<live::Target> target_;
    std::unique_ptr<live::Capture> capture_;
    std::unique_ptr<live::Watcher> watcher_;
    std::unique_ptr<Peers> peers_;
    std::vector<std::uint64_t> bytes_read_;
    Observation observation_;
};

}  // namespace

Observation carry_out(const Plan& plan)
{
    enter_own_namespace();
    if (plan.shrink_window) {
        set_sysctl("tcp_shrink_window", "1");
    }
    return Stage(plan).play();
}

}  // namespace drainwatch::corpus
