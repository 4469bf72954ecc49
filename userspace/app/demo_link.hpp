#pragma once

#include "drainwatch/result.hpp"
#include "host/file.hpp"

#include <sys/types.h>
#include <cstdint>

namespace drainwatch {

/// The process of the demo: a link on loopback, 240 messages a second, and a reader that stops
/// reading for a while. It tells its story on stderr, and ends when its parent does.
class DemoLink {
public:
    [[nodiscard]] static Result<DemoLink> start();

    DemoLink(DemoLink&& other) noexcept;
    DemoLink& operator=(DemoLink&&) = delete;
    DemoLink(const DemoLink&) = delete;
    DemoLink& operator=(const DemoLink&) = delete;
    ~DemoLink();

    [[nodiscard]] std::uint32_t pid() const { return static_cast<std::uint32_t>(pid_); }
    [[nodiscard]] std::uint16_t port() const { return port_; }

    /// Let the story begin.
    void go();

private:
    DemoLink() = default;

    pid_t pid_ = -1;
    std::uint16_t port_ = 0;
    File start_;
};

}  // namespace drainwatch
