#pragma once

#include "drainwatch/process.hpp"
#include "drainwatch/source.hpp"

#include <optional>
#include <unordered_map>

namespace drainwatch {

/// Who is to be named for a socket.
struct Owner {
    std::optional<Process> process;
    std::optional<std::uint32_t> fd;  ///< nothing: nobody has accepted it
};

/// Finds the process that owns a socket. What was found before is verified at each use, since
/// descriptors move and processes end; a walk is taken only where that fails.
class Owners {
public:
    explicit Owners(Source& source) : source_(source) {}

    /// The holder of a descriptor, of several the one that read last; else who read last; else
    /// whose listener the connection waits at.
    [[nodiscard]] Owner of(const SocketSample& sample);

    /// A process by its pid, also shortly after its end.
    [[nodiscard]] std::optional<Process> process(std::uint32_t pid);

private:
    [[nodiscard]] std::optional<Holder> holder(const SocketSample& sample,
                                               const std::vector<Holder>& among);

    Source& source_;
    std::unordered_map<std::uint32_t, std::string> names_;
    std::uint64_t walked_ns_ = 0;
    std::uint64_t walked_all_ns_ = 0;
    std::vector<Holder> everyone_;
};

}  // namespace drainwatch
