#include "host/side_thread.hpp"

#include "host/capabilities.hpp"

#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

namespace drainwatch {

/// What both threads see.
struct SideThread::Desk {
    std::mutex mutex;
    std::condition_variable changed;
    std::function<void()> task;  ///< until it has ended
    bool closed = false;

    void work()
    {
        drop_capabilities({});
        std::unique_lock lock(mutex);
        while (true) {
            changed.wait(lock, [&] { return task || closed; });
            if (!task) {
                return;
            }
            lock.unlock();
            task();
            lock.lock();
            task = nullptr;
            changed.notify_all();
        }
    }
};

SideThread::~SideThread()
{
    if (desk_) {
        const std::lock_guard lock(desk_->mutex);
        desk_->closed = true;
        desk_->changed.notify_all();
    }
}

bool SideThread::run(std::function<void()> task, std::chrono::nanoseconds patience)
{
    if (!desk_) {
        desk_ = std::make_shared<Desk>();
        std::thread([desk = desk_] { desk->work(); }).detach();
    }
    std::unique_lock lock(desk_->mutex);
    desk_->task = std::move(task);
    desk_->changed.notify_all();
    return desk_->changed.wait_for(lock, patience, [&] { return !desk_->task; });
}

bool SideThread::is_busy() const
{
    if (!desk_) {
        return false;
    }
    const std::lock_guard lock(desk_->mutex);
    return static_cast<bool>(desk_->task);
}

}  // namespace drainwatch
