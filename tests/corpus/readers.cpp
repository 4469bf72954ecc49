#include "corpus/readers.hpp"

#include "support/control.hpp"
#include "support/target.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <iterator>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace drainwatch::corpus {
namespace {

using namespace std::chrono_literals;

/// More than comes between two reads of any reader that keeps up.
constexpr std::size_t kWholeRead = 262'144;
constexpr std::uint64_t kLongGapNs = 900'000'000;

std::uint16_t peer_port(int fd)
{
    sockaddr_in6 address{};
    socklen_t length = sizeof(address);
    getpeername(fd, reinterpret_cast<sockaddr*>(&address), &length);
    return ntohs(address.sin6_port);  // at the same place as sin_port
}

void burn(std::chrono::microseconds time)
{
    const auto cpu = [] {
        timespec t{};
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
        return std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
    };
    const auto end = cpu() + time;
    while (cpu() < end) {
    }
}

/// What the threads share.
struct Locks {
    std::timed_mutex first;  ///< they may take these two in either order
    std::timed_mutex second;
    std::mutex accepting;
};

/// One thread and its links.
class Reader {
public:
    Reader(int listener, const Plan& plan, Ledger& ledger, Locks& locks)
        : listener_(listener), plan_(plan), ledger_(ledger), locks_(locks)
    {}

    void run()
    {
        const bool accepts = plan_.trouble != Trouble::never_accepted;
        const bool reads = accepts && plan_.trouble != Trouble::unread_hello;
        while (!ledger_.quit) {
            if (ledger_.trouble && !reads_on()) {
                stand_still();
                continue;
            }
            if (accepts) {
                accept_link();
            }
            wait();
            if (reads) {
                read_all();
            }
        }
    }

private:
    struct Open {
        int fd;
        LinkLedger* ledger;
    };

    [[nodiscard]] bool is_slow() const
    {
        return plan_.trouble == Trouble::too_slow && ledger_.trouble;
    }

    /// Does this trouble leave the reader at its work?
    [[nodiscard]] bool reads_on() const
    {
        switch (plan_.trouble) {
            case Trouble::none:
            case Trouble::too_slow:
            case Trouble::starvation:
            case Trouble::sigstop:
            case Trouble::never_accepted:
            case Trouble::unread_hello: return true;
            case Trouble::pauses:
            case Trouble::sleep:
            case Trouble::deadlock:
            case Trouble::epoll_without_read:
            case Trouble::tool_restart:
            case Trouble::target_restart: return false;
        }
        return true;
    }

    void stand_still()
    {
        switch (plan_.trouble) {
            case Trouble::deadlock: lock_up(); break;
            case Trouble::epoll_without_read: wait_without_reading(); break;
            default: live::nap(500us); break;
        }
    }

    /// Holds one lock and waits for another, as long as the trouble lasts.
    void contend(std::timed_mutex& own, std::timed_mutex& wanted)
    {
        const std::scoped_lock held(own);
        live::nap(1ms);
        while (ledger_.trouble && !ledger_.quit) {
            if (wanted.try_lock_for(10ms)) {
                wanted.unlock();
                return;
            }
        }
    }

    /// Neither of two threads gets the lock that the other holds.
    void lock_up()
    {
        std::thread other([&] { contend(locks_.second, locks_.first); });
        contend(locks_.first, locks_.second);
        other.join();
    }

    void wait_without_reading()
    {
        const int epoll = epoll_create1(EPOLL_CLOEXEC);
        for (const Open& link : links_) {
            epoll_event event{};
            event.events = EPOLLIN | EPOLLET;
            epoll_ctl(epoll, EPOLL_CTL_ADD, link.fd, &event);
        }
        std::array<epoll_event, 16> events{};
        while (ledger_.trouble && !ledger_.quit) {
            epoll_wait(epoll, events.data(), events.size(), 5);
        }
        close(epoll);
    }

    struct Accepted {
        int fd;
        std::uint32_t number;
    };

    /// Numbered in the order in which they connected: the links come before the crowd.
    std::optional<Accepted> accept_next()
    {
        const std::scoped_lock turn(locks_.accepting);
        const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        return fd >= 0 ? std::optional(Accepted{fd, ledger_.links++}) : std::nullopt;
    }

    void accept_link()
    {
        // Links are spread evenly: whoever has its share leaves the rest to others.
        const std::size_t share = (plan_.links + plan_.threads - 1) / plan_.threads;
        const bool has_crowd = plan_.idle_links + plan_.half_open > 0;
        if (links_.size() >= share && !has_crowd) {
            return;
        }
        while (const auto accepted = accept_next()) {
            if (accepted->number >= plan_.links) {
                continue;  // one of the crowd: held, and never read
            }
            LinkLedger& ledger = ledger_.link[accepted->number];
            ledger.peer_port = peer_port(accepted->fd);
            ledger.accepted_ns = live::realtime_ns();
            links_.push_back({accepted->fd, &ledger});
            if (links_.size() >= share && !has_crowd) {
                return;
            }
        }
    }

    void wait()
    {
        if (plan_.reading == Reading::in_batches || plan_.reading == Reading::in_steps ||
            is_slow()) {
            live::nap(std::chrono::microseconds(plan_.step_us));
            return;
        }
        if (plan_.trouble == Trouble::never_accepted) {
            live::nap(5ms);  // whoever waits to be accepted stays ready
            return;
        }
        std::vector<pollfd> watched{{listener_, POLLIN, 0}};
        if (plan_.trouble != Trouble::unread_hello) {
            std::transform(links_.begin(), links_.end(), std::back_inserter(watched),
                           [](const Open& link) {
                               return pollfd{link.fd, POLLIN, 0};
                           });
        }
        const bool all_there = links_.size() * plan_.threads >= plan_.links;
        const std::size_t skipped = all_there ? 1 : 0;  // the listener is others' business
        poll(watched.data() + skipped, watched.size() - skipped, 2);
    }

    void read_all()
    {
        for (auto link = links_.begin(); link != links_.end();) {
            if (read(*link)) {
                ++link;
            } else {
                close(link->fd);
                link = links_.erase(link);
            }
        }
    }

    /// False at the end of the connection.
    bool read(const Open& link)
    {
        std::size_t most = kWholeRead;
        if (is_slow()) {
            most = plan_.slow_bytes;
        } else if (plan_.reading == Reading::in_steps) {
            most = plan_.step_bytes;
        } else if (plan_.work_us > 0) {
            most = plan_.message_bytes;  // which take the work one by one
        }
        std::array<char, kWholeRead> buffer;
        const std::uint64_t asked_ns = live::realtime_ns();
        const ssize_t length = recv(link.fd, buffer.data(), most, 0);
        if (length <= 0) {
            return length < 0 && errno == EAGAIN;
        }
        note_read(*link.ledger, asked_ns);
        link.ledger->bytes_read += static_cast<std::uint64_t>(length);
        if (plan_.work_us > 0) {
            burn(std::chrono::microseconds(plan_.work_us));
        }
        if (plan_.reading == Reading::by_requests) {
            (void)send(link.fd, "ok", 2, MSG_NOSIGNAL);
        }
        return true;
    }

    /// A gap that is neither long nor longer than those before it is the reader's habit. In the
    /// first one, nobody knows here since when there was something to read.
    static void note_read(LinkLedger& ledger, std::uint64_t asked_ns)
    {
        const std::uint64_t now_ns = live::realtime_ns();
        const std::uint64_t before_ns =
            std::max(ledger.last_read_ns.load(), ledger.accepted_ns.load());
        ledger.last_read_ns = now_ns;
        const std::uint32_t gaps = ledger.gaps;
        const std::uint64_t length = now_ns - before_ns;
        const bool is_record =
            gaps == 0 ||
            std::none_of(ledger.gap.begin() + 1, ledger.gap.begin() + gaps,
                         [&](const Gap& gap) { return gap.end_ns - gap.begin_ns >= length; });
        if ((is_record || length >= kLongGapNs) && gaps < kMostGaps) {
            ledger.gap[gaps] = {before_ns, now_ns, asked_ns};
            ledger.gaps = gaps + 1;
        }
    }

    int listener_;
    const Plan& plan_;
    Ledger& ledger_;
    Locks& locks_;
    std::vector<Open> links_;
};

}  // namespace

void read_links(int listener, const Plan& plan, Ledger& ledger)
{
    fcntl(listener, F_SETFL, O_NONBLOCK);
    Locks locks;
    std::vector<std::thread> threads;
    for (std::uint32_t i = 0; i < plan.threads; i++) {
        threads.emplace_back([&] { Reader(listener, plan, ledger, locks).run(); });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
}

}  // namespace drainwatch::corpus
