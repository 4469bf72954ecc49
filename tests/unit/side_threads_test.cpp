#include "host/side_threads.hpp"

#include <gtest/gtest.h>
#include <sys/capability.h>
#include <unistd.h>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace drainwatch::side_threads_test {
namespace {

using namespace std::chrono_literals;

constexpr auto kLong = 60s;  // so long that it means for ever

/// Tasks that do not come back before they are released.
class Hanging {
public:
    [[nodiscard]] std::function<void()> task() const
    {
        return [released = released_] { released.wait(); };
    }
    void release() { held_.set_value(); }

private:
    std::promise<void> held_;
    std::shared_future<void> released_{held_.get_future()};
};

std::thread::id thread_of_a_task(SideThreads& threads)
{
    const auto id = std::make_shared<std::thread::id>();
    const auto call = threads.run([id] { *id = std::this_thread::get_id(); }, kLong);
    EXPECT_TRUE(call && call->has_ended());
    return *id;
}

TEST(SideThreads, AreOneAsLongAsCallsComeBack)
{
    SideThreads threads;
    const std::thread::id first = thread_of_a_task(threads);
    EXPECT_NE(first, std::this_thread::get_id());
    for (int i = 0; i < 100; i++) {
        EXPECT_EQ(thread_of_a_task(threads), first);
    }
}

TEST(SideThreads, ACallThatHangsLeavesTheOthers)
{
    SideThreads threads;
    Hanging hanging;
    const std::thread::id first = thread_of_a_task(threads);
    const auto call = threads.run(hanging.task(), 1ms);
    ASSERT_TRUE(call);
    EXPECT_FALSE(call->has_ended());
    EXPECT_NE(thread_of_a_task(threads), first);
    EXPECT_FALSE(call->has_ended());
    hanging.release();
    while (!call->has_ended()) {
        std::this_thread::yield();
    }
    EXPECT_EQ(thread_of_a_task(threads), first);
}

TEST(SideThreads, AreFew)
{
    SideThreads threads;
    Hanging hanging;
    std::vector<std::shared_ptr<const SideThreads::Call>> calls;
    while (auto call = threads.run(hanging.task(), 1ms)) {
        calls.push_back(std::move(call));
        ASSERT_LT(calls.size(), 16U);
    }
    EXPECT_GE(calls.size(), 4U);
    hanging.release();
    while (!calls.back()->has_ended()) {
        std::this_thread::yield();
    }
    thread_of_a_task(threads);
}

/// What a thread has until it ends.
std::weak_ptr<int> left_in_the_thread(SideThreads& threads)
{
    auto token = std::make_shared<int>();
    std::weak_ptr<int> watched = token;
    const auto leave = [token = std::move(token)]() mutable {
        thread_local std::shared_ptr<int> kept;
        kept = std::move(token);
    };
    EXPECT_TRUE(threads.run(leave, kLong));
    return watched;
}

void expect_soon_gone(const std::weak_ptr<int>& watched)
{
    const auto limit = std::chrono::steady_clock::now() + kLong;
    while (!watched.expired() && std::chrono::steady_clock::now() < limit) {
        std::this_thread::yield();
    }
    EXPECT_TRUE(watched.expired());
}

TEST(SideThreads, EndWithTheirOwner)
{
    std::weak_ptr<int> watched;
    {
        SideThreads threads;
        watched = left_in_the_thread(threads);
        EXPECT_FALSE(watched.expired());
    }
    expect_soon_gone(watched);
}

TEST(SideThreads, ACallThatHangsOutlivesTheirOwner)
{
    Hanging hanging;
    std::weak_ptr<int> watched;
    std::shared_ptr<const SideThreads::Call> call;
    {
        SideThreads threads;
        watched = left_in_the_thread(threads);
        call = threads.run(hanging.task(), 1ms);
    }
    EXPECT_FALSE(watched.expired());
    EXPECT_FALSE(call->has_ended());
    hanging.release();
    expect_soon_gone(watched);
    EXPECT_TRUE(call->has_ended());
}

bool has_capabilities()
{
    const std::unique_ptr<_cap_struct, int (*)(void*)> own(cap_get_proc(), cap_free);
    const std::unique_ptr<_cap_struct, int (*)(void*)> none(cap_init(), cap_free);
    return !own || !none || cap_compare(own.get(), none.get()) != 0;
}

TEST(SideThreads, HaveNoCapabilities)
{
    if (!has_capabilities()) {
        GTEST_SKIP() << "there are none to give up";
    }
    SideThreads threads;
    const auto has_any = std::make_shared<bool>(true);
    ASSERT_TRUE(threads.run([has_any] { *has_any = has_capabilities(); }, kLong));
    EXPECT_FALSE(*has_any);
    EXPECT_TRUE(has_capabilities());
}

}  // namespace
}  // namespace drainwatch::side_threads_test
