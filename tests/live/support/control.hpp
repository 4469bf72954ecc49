#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <new>

namespace drainwatch::live {

[[nodiscard]] std::uint64_t realtime_ns();

/// Waits until `done` says so; false if it does not within the limit.
[[nodiscard]] bool wait_until(const std::function<bool()>& done, std::chrono::milliseconds limit);

/// Memory that the test and the processes it forks share: what is wanted of them, and what they
/// did.
struct Control {
    std::atomic<bool> hold{false};  ///< do not read
    std::atomic<bool> quit{false};
    std::atomic<std::uint32_t> port{0};
    std::atomic<std::uint32_t> accepted{0};
    std::atomic<std::uint64_t> bytes_read{0};  ///< of the first connection
    std::atomic<std::uint32_t> child{0};       ///< pid of a process that the target made
    std::atomic<std::uint32_t> reader{0};      ///< tid of the thread that reads
};

/// Zeroed memory that this process and those it forks share.
[[nodiscard]] void* map_shared(std::size_t size);
void unmap_shared(void* at, std::size_t size);

/// Owns a T in such memory.
template <class T>
class Shared {
public:
    Shared() : at_(new (map_shared(sizeof(T))) T) {}
    ~Shared() { unmap_shared(at_, sizeof(T)); }
    Shared(const Shared&) = delete;
    Shared& operator=(const Shared&) = delete;

    T* operator->() const { return at_; }
    T& operator*() const { return *at_; }

private:
    T* at_;
};

using SharedControl = Shared<Control>;

}  // namespace drainwatch::live
