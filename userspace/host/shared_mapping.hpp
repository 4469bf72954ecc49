#pragma once

#include <sys/mman.h>
#include <sys/types.h>
#include <cstddef>
#include <utility>

namespace drainwatch {

/// Memory shared with a file or a BPF map. Owns the mapping.
class SharedMapping {
public:
    SharedMapping() = default;

    /// `protection`: PROT_READ, PROT_WRITE. False, with errno set, if it cannot be mapped.
    SharedMapping(int fd, off_t offset, std::size_t bytes, int protection) : bytes_(bytes)
    {
        void* at = mmap(nullptr, bytes, protection, MAP_SHARED, fd, offset);
        at_ = at == MAP_FAILED ? nullptr : static_cast<std::byte*>(at);
    }

    SharedMapping(SharedMapping&& other) noexcept
        : at_(std::exchange(other.at_, nullptr)), bytes_(other.bytes_)
    {}
    SharedMapping& operator=(SharedMapping&& other) noexcept
    {
        std::swap(at_, other.at_);
        std::swap(bytes_, other.bytes_);
        return *this;
    }
    SharedMapping(const SharedMapping&) = delete;
    SharedMapping& operator=(const SharedMapping&) = delete;
    ~SharedMapping()
    {
        if (at_ != nullptr) {
            munmap(at_, bytes_);
        }
    }

    explicit operator bool() const { return at_ != nullptr; }
    [[nodiscard]] std::byte* at() const { return at_; }

private:
    std::byte* at_ = nullptr;
    std::size_t bytes_ = 0;
};

}  // namespace drainwatch
