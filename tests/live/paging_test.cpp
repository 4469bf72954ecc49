// Readers that wait for a page of their buffer in the midst of recv(), as where a host swaps: the
// kernel holds the socket's lock meanwhile, and whoever asks for it waits as well.
#include "support/scenario.hpp"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace drainwatch::live {
namespace {

using namespace std::chrono_literals;

/// A page that is not there before it is brought: whoever touches it waits, in the kernel too.
class MissingPage {
public:
    static constexpr std::size_t kSize = 4096;

    MissingPage()
        : faults_(static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC))),
          page_(mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
    {
        uffdio_api api{};
        api.api = UFFD_API;
        uffdio_register range{};
        range.range = {reinterpret_cast<std::uintptr_t>(page_), kSize};
        range.mode = UFFDIO_REGISTER_MODE_MISSING;
        works_ =
            ioctl(faults_, UFFDIO_API, &api) == 0 && ioctl(faults_, UFFDIO_REGISTER, &range) == 0;
    }
    ~MissingPage()
    {
        munmap(page_, kSize);
        close(faults_);
    }
    MissingPage(const MissingPage&) = delete;
    MissingPage& operator=(const MissingPage&) = delete;

    [[nodiscard]] bool works() const { return works_; }
    [[nodiscard]] void* data() const { return page_; }
    void bring() const
    {
        uffdio_zeropage zero{};
        zero.range = {reinterpret_cast<std::uintptr_t>(page_), kSize};
        ioctl(faults_, UFFDIO_ZEROPAGE, &zero);
    }

private:
    int faults_;
    void* page_;
    bool works_ = false;
};

void read_until(const std::function<bool()>& stop, int fd)
{
    const timeval limit{0, 10'000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    std::array<char, 4096> buffer;
    while (!stop()) {
        recv(fd, buffer.data(), buffer.size(), 0);
    }
}

/// Links of one process, each with a reader of its own. The first ones' wait for a page when they
/// are told to, the last one's does not read.
class Paging : public Scenario {
protected:
    struct Orders {
        std::atomic<unsigned> missing{0};  ///< so many readers' pages are not there
        std::atomic<bool> last_is_not_read{false};
        std::atomic<bool> gave_up{false};  ///< waiting for the order to bring the pages
    };

    void SetUp() override
    {
        Scenario::SetUp();
        if (!IsSkipped() && !MissingPage().works()) {
            GTEST_SKIP() << "this kernel has no userfaultfd";
        }
    }

    /// `times`: so often the first ones' pages may be missing.
    void make_readers(unsigned links, unsigned times = 1)
    {
        make_target({}, [=, this](int listener, Control& own) {
            std::vector<std::thread> readers;
            for (unsigned i = 0; i < links; i++) {
                const int fd = accept(listener, nullptr, nullptr);
                own.accepted++;
                if (i + 1 == links) {
                    readers.emplace_back([=, this, &own] { read_but_when_told_not_to(fd, own); });
                } else {
                    readers.emplace_back([=, this, &own] { read_with_pages(i, times, fd, own); });
                }
            }
            for (std::thread& reader : readers) {
                reader.join();
            }
        });
    }

    void connect_all(unsigned links)
    {
        for (unsigned i = 0; i < links; i++) {
            connect({.message = 150, .spacing = 20'000us}).start();
        }
        ASSERT_TRUE(wait_until([&] { return control().accepted == links; }, 5s));
        nap(500ms);
    }

    /// The last link is watched as ever, while the others' readers hang.
    void expect_last_is_watched()
    {
        const Sender& last = *senders().back();
        orders_->last_is_not_read = true;
        EXPECT_TRUE(watcher().wait_for(about(last, is_trouble), 4s));
        orders_->last_is_not_read = false;
        EXPECT_TRUE(watcher().wait_for(about(last, event_is("recovered")), 5s));
        EXPECT_FALSE(orders_->gave_up) << "the scene is not what it should be";
    }

    /// Of each of the first `links`, in so many episodes.
    void expect_told(const std::string& event, unsigned links, std::size_t episodes)
    {
        for (unsigned i = 0; i < links; i++) {
            const auto told = [&] {
                std::set<int> in;
                for (const Line& line : watcher().lines(about(*senders()[i], event_is(event)))) {
                    in.insert(line.json["episode"].get<int>());
                }
                return in.size() >= episodes;
            };
            EXPECT_TRUE(wait_until(told, 5s)) << event << " of link " << i;
        }
    }

    Shared<Orders> orders_;

private:
    void read_but_when_told_not_to(int fd, const Control& own)
    {
        while (!own.quit) {
            read_until([&] { return own.quit || orders_->last_is_not_read; }, fd);
            nap(1ms);
        }
    }

    void read_with_pages(unsigned number, unsigned times, int fd, const Control& own)
    {
        for (unsigned i = 0; i < times; i++) {
            const auto is_missing = [&] { return orders_->missing > number; };
            read_until([&] { return own.quit || is_missing(); }, fd);
            const MissingPage page;
            std::thread bringing([&] {
                // A drainwatch that hangs as well cannot be ended before.
                const bool told = wait_until([&] { return !is_missing() || own.quit; }, 25s);
                orders_->gave_up = orders_->gave_up || !told;
                page.bring();
            });
            while (recv(fd, page.data(), MissingPage::kSize, 0) < 0 && !own.quit) {
            }
            bringing.join();
        }
        read_until([&] { return own.quit.load(); }, fd);
    }
};

TEST_F(Paging, reader_that_hangs_in_recv)
{
    make_readers(2);
    watch();
    connect_all(2);
    orders_->missing = 1;
    const auto warning = watcher().wait_for(about(sender(), is_trouble), 4s);
    ASSERT_TRUE(warning);
    EXPECT_GT(warning->json["queue_bytes"], 0);
    const std::string reason = warning->json["reason"];
    EXPECT_NE(reason.find("for a page of memory in recvfrom"), std::string::npos) << reason;
    expect_last_is_watched();
    EXPECT_TRUE(watcher().lines(about(sender(), event_is("recovered"))).empty());
    orders_->missing = 0;
    expect_told("recovered", 1, 1);
    finish();
    if (!polls()) {  // before 6.9 new sockets cannot be looked for meanwhile, and that is said
        EXPECT_TRUE(watcher().lines(event_is("lost")).empty());
    }
}

/// More than polling has ways to ask, and a list that the kernel makes in several parts.
TEST_F(Paging, several_readers_that_hang_again)
{
    constexpr unsigned kHanging = 4;
    constexpr unsigned kLinks = kHanging + 1;
    make_readers(kLinks, 2);
    std::uint16_t crowd_port = 0;
    const int crowd_listener = listen_on_loopback({}, crowd_port);
    std::array<int, 100> crowd{};
    for (int& fd : crowd) {
        fd = connect_on_loopback(crowd_port);
    }
    watch();
    connect_all(kLinks);
    for (std::size_t time = 1; time <= 2; time++) {
        orders_->missing = kHanging;
        expect_told("not_draining", kHanging, time);
        expect_last_is_watched();
        orders_->missing = 0;
        expect_told("recovered", kHanging, time);
    }
    for (const int fd : crowd) {
        close(fd);
    }
    close(crowd_listener);
    finish();
}

/// Who starts it now wants to know what is wrong.
TEST_F(Paging, watch_that_begins_while_a_reader_hangs)
{
    make_readers(2);
    connect_all(2);
    orders_->missing = 1;
    nap(500ms);
    watch_all({"--port", std::to_string(target().port())});
    EXPECT_TRUE(watcher().wait_for(about(sender(), is_trouble), 4s));
    expect_last_is_watched();
    orders_->missing = 0;
    EXPECT_TRUE(watcher().wait_for(about(sender(), event_is("recovered")), 5s));
    finish();
}

}  // namespace
}  // namespace drainwatch::live
