#pragma once

#include <sys/mman.h>
#include <array>
#include <atomic>
#include <cstdint>
#include <new>
#include <stdexcept>

namespace drainwatch::corpus {

constexpr std::size_t kMostLinks = 64;

constexpr std::size_t kMostGaps = 64;

/// No read was noted from one to the other; the first begins as the connection is accepted.
/// CLOCK_REALTIME.
struct Gap {
    std::uint64_t begin_ns = 0;
    std::uint64_t end_ns = 0;
    /// Just before the read at the end: that was no earlier, and its thread may have had no CPU to
    /// note it.
    std::uint64_t asked_ns = end_ns;
};

/// What the target's readers did with one link.
struct LinkLedger {
    std::atomic<std::uint32_t> peer_port{0};
    std::atomic<std::uint64_t> accepted_ns{0};  ///< CLOCK_REALTIME
    std::atomic<std::uint64_t> bytes_read{0};
    std::atomic<std::uint64_t> last_read_ns{0};  ///< CLOCK_REALTIME
    std::atomic<std::uint32_t> gaps{0};
    std::array<Gap, kMostGaps> gap;  ///< those that were longer than any before, or long
};

/// What is wanted of the target's readers, and what they did: shared with the injector.
struct Ledger {
    std::atomic<bool> trouble{false};
    std::atomic<bool> quit{false};
    std::atomic<std::uint32_t> links{0};  ///< accepted
    std::array<LinkLedger, kMostLinks> link;
};

/// A Ledger in memory that is shared with forked children.
class SharedLedger {
public:
    SharedLedger()
    {
        void* at = mmap(nullptr, sizeof(Ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                        -1, 0);
        if (at == MAP_FAILED) {
            throw std::runtime_error("no shared memory");
        }
        ledger_ = new (at) Ledger;
    }
    ~SharedLedger() { munmap(ledger_, sizeof(Ledger)); }
    SharedLedger(const SharedLedger&) = delete;
    SharedLedger& operator=(const SharedLedger&) = delete;

    Ledger& operator*() const { return *ledger_; }
    Ledger* operator->() const { return ledger_; }

private:
    Ledger* ledger_;
};

}  // namespace drainwatch::corpus
