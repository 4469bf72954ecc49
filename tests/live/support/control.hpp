#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>

namespace drainwatch::live {

[[nodiscard]] std::uint64_t realtime_ns();

/// The machine is emulated: its clock is right, but everything takes ten times as long, or more if
/// others use the host. Whoever made the machine says so: DRAINWATCH_SLOW_CLOCK=1 in the
/// environment.
[[nodiscard]] bool slow_machine();

/// How long something may take, or how late it may be: as given, but ten times that on a slow
/// machine. What is exact in nature, like the number of bytes, is exact there too.
template <typename Time>
[[nodiscard]] Time allowed(Time usual)
{
    return slow_machine() ? usual * 10 : usual;
}

/// Waits until `done` says so; false if it does not within the limit (longer on a slow machine).
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
