// Read latency against a witness that is not this code: the kernel's own receive stamp
// (SO_TIMESTAMPNS) and the reader's clock before and after the call, for every message: the read
// happened between the two.
#include "support/profile_run.hpp"
#include "support/scenario.hpp"
#include "support/shared_array.hpp"

#include <fmt/format.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <optional>
#include <thread>
#include <vector>

namespace drainwatch::live {
namespace {

using namespace std::chrono_literals;

/// A message: when it was sent, by CLOCK_REALTIME.
struct Message {
    std::uint64_t sent_ns = 0;
    std::array<char, 56> rest{};
};

struct Witnessed {
    std::uint64_t read_ns = 0;
    std::uint64_t at_least_ns = 0;  ///< from the arrival to the call that read
    std::uint64_t at_most_ns = 0;   ///< to its return
};

using Witness = SharedArray<Witnessed>;

/// What the reader of one connection knows of a message.
struct Receipt {
    std::uint64_t sent_ns = 0;
    std::uint64_t stamp_ns = 0;
    std::uint64_t called_ns = 0;
    std::uint64_t read_ns = 0;
};

/// Nothing at the end of the connection; what has not come yet has no times.
std::optional<Receipt> read_message(int fd)
{
    Message message;
    iovec part{&message, sizeof(message)};
    alignas(cmsghdr) std::array<char, 256> control{};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const std::uint64_t called_ns = realtime_ns();
    const ssize_t length = recvmsg(fd, &header, MSG_WAITALL);
    if (length == 0) {
        return std::nullopt;
    }
    if (length != sizeof(message)) {
        return Receipt{};
    }
    Receipt receipt{message.sent_ns, 0, called_ns, realtime_ns()};
    for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
            timespec t{};
            std::memcpy(&t, CMSG_DATA(c), sizeof(t));
            receipt.stamp_ns = static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000 +
                               static_cast<std::uint64_t>(t.tv_nsec);
        }
    }
    return receipt;
}

/// Notes the messages of one connection. Segments that the kernel puts together in the queue all
/// have the stamp of the last of them. Those before it arrived as they were sent, on loopback.
class Reader {
public:
    explicit Reader(Witness& witness) : witness_(witness) {}

    /// False at the end of the connection.
    bool read(int fd)
    {
        const auto receipt = read_message(fd);
        if (!receipt || receipt->read_ns == 0) {
            return receipt.has_value();
        }
        if (before_.read_ns != 0) {
            const bool own = before_.stamp_ns != receipt->stamp_ns;
            const std::uint64_t arrived_ns = own ? before_.stamp_ns : before_.sent_ns;
            const std::uint64_t called_ns = std::max(before_.called_ns, arrived_ns);
            witness_.push({before_.read_ns, called_ns - arrived_ns, before_.read_ns - arrived_ns});
        }
        before_ = *receipt;
        return true;
    }

private:
    Witness& witness_;
    Receipt before_;  ///< read_ns is 0 before the first
};

/// Nobody comes between the copy and the clock: that would be the witness's delay alone.
void take_precedence()
{
    const sched_param first{.sched_priority = 1};
    EXPECT_EQ(pthread_setschedparam(pthread_self(), SCHED_FIFO, &first), 0);
}

/// What a closed window keeps here has not arrived, though it was sent: after a pause of the
/// machine, say. A message that is sent now would wait behind it.
void wait_until_all_has_left(int fd, const std::atomic<bool>& done)
{
    int unsent = 0;
    while (!done && ioctl(fd, SIOCOUTQNSD, &unsent) == 0 && unsent != 0) {
        nap(100us);
    }
}

void ask_for_stamps(int fd)
{
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
    const timeval limit{0, 100'000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

struct Load {
    const char* name;
    std::size_t links;
    std::chrono::microseconds spacing;
    std::chrono::microseconds pause;  ///< the reader's, after it has found nothing more
    std::size_t least;                ///< messages that must come for the load to be what it is
};

double exact_quantile(std::vector<std::uint64_t>& sorted, double q)
{
    const auto rank = static_cast<std::size_t>(std::ceil(q * static_cast<double>(sorted.size())));
    return static_cast<double>(sorted[std::clamp<std::size_t>(rank, 1, sorted.size()) - 1]);
}

/// What the run's ends and the width of a bucket may make of a quantile.
constexpr double kOffNs = 10e3;
constexpr double kOffShare = 0.03;

class ProfileLatency : public ::testing::TestWithParam<Load> {
protected:
    void SetUp() override
    {
        if (geteuid() != 0) {
            GTEST_SKIP() << "live tests need root";
        }
    }
};

TEST_P(ProfileLatency, agrees_with_the_kernels_stamps)
{
    const Load load = GetParam();
    Witness witness(std::size_t{1} << 20);
    const std::string comm = unique_comm();
    Target target(comm, {}, [&](int listener, Control& control) {
        std::vector<std::thread> readers;
        for (std::size_t i = 0; i < load.links; i++) {
            readers.emplace_back([&, fd = accept(listener, nullptr, nullptr)] {
                Reader reader(witness);
                take_precedence();
                ask_for_stamps(fd);
                control.accepted++;
                bool open = true;
                while (open && !control.quit) {
                    char byte = 0;
                    // The wait is over before the call that reads begins.
                    const int waits = load.pause.count() > 0 ? MSG_DONTWAIT : 0;
                    if (recv(fd, &byte, 1, MSG_PEEK | waits) < 0) {
                        nap(load.pause);
                        continue;
                    }
                    open = reader.read(fd);
                }
            });
        }
        for (std::thread& reader : readers) {
            reader.join();
        }
    });
    std::atomic<bool> done = false;
    std::vector<std::thread> senders;
    for (std::size_t i = 0; i < load.links; i++) {
        senders.emplace_back([&] {
            Sender link(target.port(), {});
            auto next = std::chrono::steady_clock::now();
            while (!done) {
                wait_until_all_has_left(link.fd(), done);
                Message message;
                message.sent_ns = realtime_ns();
                // A segment of its own.
                send(link.fd(), &message, sizeof(message), MSG_NOSIGNAL | MSG_EOR);
                next += load.spacing;
                std::this_thread::sleep_until(next);
            }
        });
    }
    const bool accepted = wait_until([&] { return target.control().accepted == load.links; }, 5s);
    EXPECT_TRUE(accepted);
    ProfileRun run(comm);
    const std::uint64_t began_ns = realtime_ns();
    nap(4s);
    const std::uint64_t ended_ns = realtime_ns();
    const Json profile = run.stop();
    done = true;
    for (std::thread& sender : senders) {
        sender.join();
    }
    target.control().quit = true;

    std::vector<std::uint64_t> at_least;
    std::vector<std::uint64_t> at_most;
    for (const Witnessed& w : witness.values()) {
        if (w.read_ns >= began_ns && w.read_ns < ended_ns) {
            at_least.push_back(w.at_least_ns);
            at_most.push_back(w.at_most_ns);
        }
    }
    if (at_most.size() < load.least) {
        GTEST_SKIP() << "this machine is too slow for the load";
    }
    std::sort(at_least.begin(), at_least.end());
    std::sort(at_most.begin(), at_most.end());
    const Json& measured = profile.at("read_latency_ns");
    const auto count = measured["count"].get<std::uint64_t>();
    fmt::print("{}: {} messages, {} measured\n", load.name, at_most.size(), count);
    // Messages at the run's ends are in the one and not in the other: ranks are so far apart at
    // most.
    const double apart =
        std::abs(static_cast<double>(count) / static_cast<double>(at_most.size()) - 1);
    EXPECT_LT(apart, 0.02);
    for (const auto& [name, q] : {std::pair{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}}) {
        const double least = exact_quantile(at_least, q - apart);
        const double most = exact_quantile(at_most, q + apart);
        const double ours = measured[name];
        fmt::print("  {}: witness {:.1f} to {:.1f} us, profile {:.1f} us\n", name, least / 1e3,
                   most / 1e3, ours / 1e3);
        EXPECT_GE(ours, least - std::max(kOffNs, kOffShare * least)) << name;
        EXPECT_LE(ours, most + std::max(kOffNs, kOffShare * most)) << name;
    }
    const auto sum = [&](const char* name) {
        const Json& d = profile.at(name);
        return d["mean"].get<double>() * d["count"].get<double>();
    };
    const double parts =
        sum("wakeup_ns") + sum("schedule_ns") + sum("application_ns") + sum("unattributed_ns");
    EXPECT_NEAR(parts, sum("read_latency_ns"), 1e-4 * sum("read_latency_ns"));
}

INSTANTIATE_TEST_SUITE_P(, ProfileLatency,
                         testing::Values(Load{"idle", 1, 1ms, 0us, 2000},
                                         Load{"busy", 1, 60us, 0us, 20'000},
                                         Load{"backlogged", 1, 80us, 20ms, 20'000},
                                         Load{"several_threads", 4, 300us, 0us, 40'000}),
                         [](const auto& load) { return std::string(load.param.name); });

/// Delays of 1 ms to 5 s, past what 31 and 32 bits of nanoseconds hold.
TEST(ProfileDelays, come_out_right)
{
    if (geteuid() != 0) {
        GTEST_SKIP() << "live tests need root";
    }
    constexpr double kBucketWidth = 1.032;
    const std::vector<std::chrono::milliseconds> delays{1ms, 10ms, 100ms, 1s, 2500ms, 5s};
    // The data arrives while it is sent, and is read while recv() is called.
    struct Span {
        std::uint64_t begin_ns = 0;
        std::uint64_t end_ns = 0;
    };
    std::vector<Span> sent(delays.size());
    SharedArray<Span> received(delays.size());
    const std::string comm = unique_comm();
    Target target(comm, {}, Target::one_connection([&](int fd, Control& control) {
                      for (const auto delay : delays) {
                          pollfd ready{fd, POLLIN, 0};
                          while (poll(&ready, 1, 100) <= 0 && !control.quit) {
                          }
                          nap(delay);
                          char byte = 0;
                          const std::uint64_t begin_ns = realtime_ns();
                          recv(fd, &byte, sizeof(byte), 0);
                          received.push({begin_ns, realtime_ns()});
                      }
                  }));
    Sender link(target.port(), {});
    ProfileRun run(comm);
    for (std::size_t i = 0; i < delays.size(); i++) {
        sent[i].begin_ns = realtime_ns();
        send(link.fd(), "x", 1, 0);
        sent[i].end_ns = realtime_ns();
        ASSERT_TRUE(wait_until([&] { return received.values().size() == i + 1; }, 10s));
    }
    const Json profile = run.stop();
    target.control().quit = true;
    const Json& latency = profile.at("read_latency_ns");
    ASSERT_EQ(latency["count"], delays.size());
    ASSERT_EQ(latency["buckets"].size(), delays.size());
    for (std::size_t i = 0; i < delays.size(); i++) {
        const auto at_least = static_cast<double>(received.values()[i].begin_ns - sent[i].end_ns);
        const auto at_most = static_cast<double>(received.values()[i].end_ns - sent[i].begin_ns);
        const double bucket = latency["buckets"][i][0];
        EXPECT_LE(bucket, at_most);
        EXPECT_GE(bucket * kBucketWidth, at_least);
        if (i + 1 == delays.size()) {
            EXPECT_LE(latency["max"].get<double>(), at_most);
            EXPECT_GE(latency["max"].get<double>(), at_least);
        }
    }
}

}  // namespace
}  // namespace drainwatch::live
