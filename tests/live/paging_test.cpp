// Readers that wait for a page of their buffer in the midst of recv(), as where a host swaps: the
// kernel holds the socket's lock meanwhile, and whoever asks for it waits as well.
#include "support/scenario.hpp"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <array>
#include <string>
#include <thread>

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

void read_until(const std::atomic<bool>& stop, int fd, const Control& control)
{
    const timeval limit{0, 10'000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    std::array<char, 4096> buffer;
    while (!stop && !control.quit) {
        recv(fd, buffer.data(), buffer.size(), 0);
    }
}

class Paging : public Scenario {
protected:
    /// Two links, each with a reader of its own; two things may happen to the process.
    struct Orders {
        std::atomic<bool> page_is_missing{false};  ///< the first reader's
        std::atomic<bool> second_is_not_read{false};
    };

    void SetUp() override
    {
        Scenario::SetUp();
        if (!IsSkipped() && !MissingPage().works()) {
            GTEST_SKIP() << "this kernel has no userfaultfd";
        }
    }

    void make_readers()
    {
        make_target({}, [this](int listener, Control& own) {
            const int first = accept(listener, nullptr, nullptr);
            const int second = accept(listener, nullptr, nullptr);
            own.accepted = 2;
            const MissingPage page;
            std::thread reader([&] {
                read_until(orders_->page_is_missing, first, own);
                while (recv(first, page.data(), MissingPage::kSize, 0) < 0 && !own.quit) {
                }
                read_until(own.quit, first, own);
            });
            std::thread helper([&] {
                while (!orders_->page_is_missing && !own.quit) {
                    nap(1ms);
                }
                // A drainwatch that hangs as well cannot be ended before.
                (void)wait_until([&] { return !orders_->page_is_missing || own.quit; }, 15s);
                page.bring();
            });
            while (!own.quit) {
                read_until(orders_->second_is_not_read, second, own);
                nap(1ms);
            }
            helper.join();
            reader.join();
        });
    }

    void connect_both()
    {
        connect({.message = 150, .spacing = 20'000us}).start();
        connect({.message = 150, .spacing = 20'000us}).start();
        ASSERT_TRUE(wait_until([&] { return control().accepted == 2; }, 5s));
        nap(500ms);
    }

    [[nodiscard]] const Sender& paging() const { return *senders().at(0); }
    [[nodiscard]] const Sender& other() const { return *senders().at(1); }

    /// The link beside it is watched as ever.
    void expect_other_is_watched()
    {
        orders_->second_is_not_read = true;
        EXPECT_TRUE(watcher().wait_for(about(other(), is_trouble), 4s));
        orders_->second_is_not_read = false;
        EXPECT_TRUE(watcher().wait_for(about(other(), event_is("recovered")), 5s));
    }

    Shared<Orders> orders_;
};

TEST_F(Paging, reader_that_hangs_in_recv)
{
    make_readers();
    watch();
    connect_both();
    orders_->page_is_missing = true;
    const auto warning = watcher().wait_for(about(paging(), is_trouble), 4s);
    ASSERT_TRUE(warning);
    EXPECT_GT(warning->json["queue_bytes"], 0);
    const std::string reason = warning->json["reason"];
    EXPECT_NE(reason.find("for a page of its memory in recvfrom"), std::string::npos) << reason;
    expect_other_is_watched();
    EXPECT_TRUE(watcher().lines(about(paging(), event_is("recovered"))).empty());
    orders_->page_is_missing = false;
    EXPECT_TRUE(watcher().wait_for(about(paging(), event_is("recovered")), 5s));
    finish();
    if (!polls()) {  // before 6.9 new sockets cannot be looked for meanwhile, and that is said
        EXPECT_TRUE(watcher().lines(event_is("lost")).empty());
    }
}

/// Who starts it now wants to know what is wrong.
TEST_F(Paging, watch_that_begins_while_a_reader_hangs)
{
    make_readers();
    connect_both();
    orders_->page_is_missing = true;
    nap(500ms);
    watch_all({"--port", std::to_string(target().port())});
    EXPECT_TRUE(watcher().wait_for(about(paging(), is_trouble), 4s));
    expect_other_is_watched();
    orders_->page_is_missing = false;
    EXPECT_TRUE(watcher().wait_for(about(paging(), event_is("recovered")), 5s));
    finish();
}

}  // namespace
}  // namespace drainwatch::live
