#include "bpf/slot_pool.hpp"

#include "drainwatch.skel.h"
#include "drainwatch/abi.h"
#include "host/clock.hpp"

#include <bpf/bpf.h>
#include <algorithm>
#include <chrono>
#include <utility>

namespace drainwatch {
namespace {

using namespace std::chrono_literals;

/// `slots_used` may lag behind by one for each CPU that takes a slot at the same time.
constexpr std::uint32_t kSlotSlack = 256;

/// One slot in so many, and so many at least, are kept for sockets with unread data.
constexpr std::uint32_t kReserveShare = 16;
constexpr std::uint32_t kSmallestReserve = 16;
/// So many sockets with nothing unread are given a slot before the start; to fill these takes 2 ms,
/// and the hosts that are watched have fewer. The others are given theirs right after it.
constexpr std::uint32_t kSlotsBeforeStart = 2048;
/// A socket with nothing unread for so long is in no episode any more.
constexpr std::chrono::nanoseconds kShortestIdle = 1s;

}  // namespace

SlotPool::SlotPool(const drainwatch_bpf& kernel_side, SlotTable& table)
    : kernel_side_(kernel_side), table_(table)
{}

Result<void> SlotPool::fill()
{
    auto& bss = *kernel_side_.bss;
    bss.slots_free = table_.size();
    bss.slots_to_give = kSlotsBeforeStart;
    bss.slots_reserve = std::max(table_.size() / kReserveShare, kSmallestReserve);
    const int fd = bpf_program__fd(kernel_side_.progs.fill_free_slots);
    for (std::uint64_t end = table_.size(); end > 0; end -= DW_FILL_BATCH) {
        std::uint64_t first = end - DW_FILL_BATCH;
        bpf_test_run_opts options{};
        options.sz = sizeof(options);
        options.ctx_in = &first;
        options.ctx_size_in = sizeof(first);
        if (bpf_prog_test_run_opts(fd, &options) != 0) {
            return fill_one_by_one();  // before 5.10 there is no such test run
        }
    }
    return {};
}

Result<void> SlotPool::fill_one_by_one()
{
    for (std::uint32_t end = table_.size(); end > 0; end--) {
        if (auto given = give_back(end - 1); !given) {
            return given;
        }
    }
    return {};
}

Result<void> SlotPool::give_back(std::uint32_t slot)
{
    const int fd = bpf_map__fd(kernel_side_.maps.free_slots);
    if (const int error = bpf_map_update_elem(fd, nullptr, &slot, BPF_ANY); error != 0) {
        return tl::unexpected(system_error("fill", "the table of sockets", -error));
    }
    return {};
}

std::uint32_t SlotPool::in_use() const
{
    const std::uint32_t used = __atomic_load_n(&kernel_side_.bss->slots_used, __ATOMIC_RELAXED);
    return std::min(table_.size(), used + kSlotSlack);
}

void SlotPool::make_room()
{
    auto& bss = *kernel_side_.bss;
    const std::uint32_t free = __atomic_load_n(&bss.slots_free, __ATOMIC_RELAXED);
    bss.idle_before_ns = 0;
    if (free < bss.slots_reserve) {
        const std::uint64_t limit_ns =
            monotonic_ns() - static_cast<std::uint64_t>(kShortestIdle.count());
        const std::uint64_t idle_since =
            table_.idle_since(in_use(), 2 * bss.slots_reserve - free, limit_ns);
        bss.idle_before_ns = idle_since != 0 ? idle_since + 1 : 0;
    }
}

bool SlotPool::is_short() const
{
    const auto& bss = *kernel_side_.bss;
    return __atomic_load_n(&bss.slots_free, __ATOMIC_RELAXED) < bss.slots_reserve / 2;
}

bool SlotPool::serve_all()
{
    return std::exchange(kernel_side_.bss->slots_to_give, table_.size()) != 0;
}

void SlotPool::clear()
{
    for (const std::uint32_t slot : table_.clear(in_use())) {
        if (give_back(slot)) {
            __atomic_fetch_add(&kernel_side_.bss->slots_free, 1, __ATOMIC_RELAXED);
        }
    }
}

}  // namespace drainwatch
