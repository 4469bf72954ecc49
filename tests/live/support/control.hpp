#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>

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
};

/// Owns a Control in shared memory.
class SharedControl {
public:
    SharedControl();
    ~SharedControl();
    SharedControl(const SharedControl&) = delete;
    SharedControl& operator=(const SharedControl&) = delete;

    Control* operator->() const { return control_; }
    Control& operator*() const { return *control_; }

private:
    Control* control_;
};

}  // namespace drainwatch::live
