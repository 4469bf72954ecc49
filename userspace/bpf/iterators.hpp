#pragma once

#include "drainwatch/abi.h"
#include "drainwatch/result.hpp"

#include <cstdint>
#include <future>
#include <string>
#include <unordered_map>
#include <vector>

struct drainwatch_bpf;

/// The looks that walk through the kernel's own lists. Each costs time in proportion to what
/// there is to walk through, so they are taken now and then, not every tick.
namespace drainwatch {

/// Watches the sockets behind the targets' descriptors that are not watched yet; `found` is then
/// who holds which watched socket, as far as the walk came. (There may be many, and the room of the
/// last look will do.) Walks through the processes of `pids` alone, where the kernel can be told to
/// (6.1, RHEL 9.3); with none, through all.
[[nodiscard]] Result<void> find_descriptors(drainwatch_bpf& skeleton,
                                            const std::vector<std::uint32_t>& pids,
                                            std::vector<dw_descriptor>& found);

/// The same for every process on the host; watches nothing new.
[[nodiscard]] Result<void> find_all_holders(drainwatch_bpf& skeleton,
                                            std::vector<dw_descriptor>& found);

/// Walks through the connections of a network namespace. The kernel takes the lock of each (since
/// 5.15), and a reader that waits for a page of its buffer in the midst of recv() holds that of its
/// socket: so a thread of its own walks.
class ConnectionFinder {
public:
    explicit ConnectionFinder(drainwatch_bpf& skeleton) : skeleton_(skeleton) {}

    /// Watches those that wait to be accepted in the namespace at `netns_path`
    /// ("/proc/<pid>/ns/net"; empty: our own); with --all, every one there. Where watched sockets
    /// are remembered by address, it also gives those that have none a slot, and takes the counters
    /// of all again. Fails as well if the walk does not end soon: it is then left to itself, and
    /// the next call for that namespace says what became of it.
    [[nodiscard]] Result<void> find(const std::string& netns_path);

    /// What walks that were left to themselves have found does not hold any more.
    void forget() { under_way_.clear(); }

private:
    using Walk = std::future<Result<void>>;

    [[nodiscard]] Result<Walk> begin_walk(const std::string& netns_path);

    drainwatch_bpf& skeleton_;
    std::unordered_map<std::string, Walk> under_way_;  ///< by path: those left to themselves
};

/// The kernel may refuse to attach what it has loaded for heal_slots().
[[nodiscard]] bool can_heal_slots(drainwatch_bpf& skeleton);

/// Takes every watched socket's counters again, for what an event may have missed.
[[nodiscard]] Result<void> heal_slots(drainwatch_bpf& skeleton);

}  // namespace drainwatch
