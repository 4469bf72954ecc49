#include "support/control.hpp"

#include <sys/mman.h>
#include <ctime>
#include <stdexcept>
#include <thread>

namespace drainwatch::live {

std::uint64_t realtime_ns()
{
    timespec t{};
    clock_gettime(CLOCK_REALTIME, &t);
    return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000 +
           static_cast<std::uint64_t>(t.tv_nsec);
}

bool wait_until(const std::function<bool()>& done, std::chrono::milliseconds limit)
{
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!done()) {
        if (std::chrono::steady_clock::now() >= end) {
            return false;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
}

void* map_shared(std::size_t size)
{
    void* at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        throw std::runtime_error("no shared memory");
    }
    return at;
}

void unmap_shared(void* at, std::size_t size)
{
    munmap(at, size);
}

}  // namespace drainwatch::live
