#include "host/side_threads.hpp"

#include "host/capabilities.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace drainwatch {
namespace {

/// The unit file allows a process 16 threads.
constexpr std::size_t kMost = 8;

}  // namespace

/// What both threads see.
struct SideThreads::Desk {
    std::mutex mutex;
    std::condition_variable changed;
    std::function<void()> task;
    std::shared_ptr<Call> call;  ///< null: there is nothing to do
    bool closed = false;

    void work()
    {
        drop_capabilities({});
        std::unique_lock lock(mutex);
        while (true) {
            changed.wait(lock, [&] { return call || closed; });
            if (!call) {
                return;
            }
            lock.unlock();
            std::exchange(task, nullptr)();
            lock.lock();
            std::exchange(call, nullptr)->ended_ = true;
            changed.notify_all();
        }
    }
};

SideThreads::~SideThreads()
{
    for (const auto& desk : desks_) {
        const std::lock_guard lock(desk->mutex);
        desk->closed = true;
        desk->changed.notify_all();
    }
}

std::shared_ptr<SideThreads::Desk> SideThreads::free_desk()
{
    const auto free = std::find_if(desks_.begin(), desks_.end(), [](const auto& desk) {
        const std::lock_guard lock(desk->mutex);
        return !desk->call;
    });
    if (free != desks_.end()) {
        return *free;
    }
    if (desks_.size() >= kMost) {
        return nullptr;
    }
    auto desk = std::make_shared<Desk>();
    if (!begin_thread([desk] { desk->work(); })) {
        return nullptr;
    }
    desks_.push_back(desk);
    return desk;
}

std::shared_ptr<const SideThreads::Call> SideThreads::run(std::function<void()> task,
                                                          std::chrono::nanoseconds patience)
{
    const auto desk = free_desk();
    if (!desk) {
        return nullptr;
    }
    const auto call = std::make_shared<Call>();
    std::unique_lock lock(desk->mutex);
    desk->task = std::move(task);
    desk->call = call;
    desk->changed.notify_all();
    (void)desk->changed.wait_for(lock, patience, [&] { return call->has_ended(); });
    return call;
}

Result<void> begin_thread(std::function<void()> task)
{
    try {
        std::thread(std::move(task)).detach();
    } catch (const std::system_error& error) {
        return tl::unexpected(system_error("begin", "a thread", error.code().value()));
    }
    return {};
}

}  // namespace drainwatch
