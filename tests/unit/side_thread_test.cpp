#include "host/side_thread.hpp"

#include <gtest/gtest.h>
#include <sys/capability.h>
#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <thread>

namespace drainwatch::side_thread_test {
namespace {

using namespace std::chrono_literals;

constexpr auto kLong = 60s;  // so long that it means for ever

TEST(SideThread, RunsOneTaskAfterTheOther)
{
    SideThread side;
    EXPECT_FALSE(side.is_busy());
    std::thread::id first;
    for (int i = 0; i < 100; i++) {
        const auto done = std::make_shared<std::optional<std::thread::id>>();
        ASSERT_TRUE(side.run([done] { *done = std::this_thread::get_id(); }, kLong));
        ASSERT_TRUE(*done);
        first = i == 0 ? **done : first;
        EXPECT_EQ(**done, first);
        EXPECT_NE(**done, std::this_thread::get_id());
        EXPECT_FALSE(side.is_busy());
    }
}

TEST(SideThread, IsBusyUntilTheTaskComesBack)
{
    SideThread side;
    std::promise<void> held;
    const std::shared_future<void> released = held.get_future();
    EXPECT_FALSE(side.run([released] { released.wait(); }, 1ms));
    EXPECT_TRUE(side.is_busy());
    held.set_value();
    while (side.is_busy()) {
        std::this_thread::yield();
    }
    EXPECT_TRUE(side.run([] {}, kLong));
}

TEST(SideThread, LeavesATaskThatDoesNotComeBackToItself)
{
    std::promise<void> held;
    const std::shared_future<void> released = held.get_future();
    const auto ended = std::make_shared<std::promise<void>>();
    {
        SideThread side;
        EXPECT_FALSE(side.run(
            [released, ended] {
                released.wait();
                ended->set_value();
            },
            1ms));
    }
    held.set_value();
    EXPECT_EQ(ended->get_future().wait_for(kLong), std::future_status::ready);
}

TEST(SideThread, IsClosedWithItsOwner)
{
    const auto token = std::make_shared<int>();
    {
        SideThread side;
        ASSERT_TRUE(side.run([token] {}, kLong));
        SideThread moved(std::move(side));
        ASSERT_TRUE(moved.run([token] {}, kLong));
    }
    EXPECT_EQ(token.use_count(), 1);
}

TEST(SideThread, HasNoCapabilities)
{
    const auto has_any = std::make_shared<bool>(true);
    SideThread side;
    ASSERT_TRUE(side.run(
        [has_any] {
            const std::unique_ptr<_cap_struct, int (*)(cap_t)> own(
                cap_get_proc(), [](cap_t c) { return cap_free(c); });
            const std::unique_ptr<_cap_struct, int (*)(cap_t)> none(
                cap_init(), [](cap_t c) { return cap_free(c); });
            *has_any = !own || !none || cap_compare(own.get(), none.get()) != 0;
        },
        kLong));
    EXPECT_FALSE(*has_any);
}

}  // namespace
}  // namespace drainwatch::side_thread_test
