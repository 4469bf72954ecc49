#pragma once

#include <sys/mman.h>
#include <atomic>
#include <cstddef>
#include <new>
#include <span>
#include <stdexcept>

namespace drainwatch::live {

/// Values that processes of the test write and the test reads; what comes beyond its size is left
/// out.
template <typename T>
class SharedArray {
public:
    explicit SharedArray(std::size_t size) : size_(size)
    {
        void* at =
            mmap(nullptr, bytes(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED) {
            throw std::runtime_error("no shared memory");
        }
        used_ = new (at) std::atomic<std::size_t>(0);
        values_ = reinterpret_cast<T*>(used_ + 1);
    }
    ~SharedArray() { munmap(used_, bytes()); }
    SharedArray(const SharedArray&) = delete;
    SharedArray& operator=(const SharedArray&) = delete;

    void push(const T& value)
    {
        const std::size_t at = (*used_)++;
        if (at < size_) {
            values_[at] = value;
        }
    }

    [[nodiscard]] std::span<const T> values() const
    {
        return {values_, std::min<std::size_t>(*used_, size_)};
    }

private:
    [[nodiscard]] std::size_t bytes() const
    {
        return sizeof(std::atomic<std::size_t>) + size_ * sizeof(T);
    }

    std::size_t size_;
    std::atomic<std::size_t>* used_ = nullptr;
    T* values_ = nullptr;
};

}  // namespace drainwatch::live
