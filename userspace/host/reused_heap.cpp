#include "host/reused_heap.hpp"

#include <malloc.h>

namespace drainwatch {
namespace {

constexpr int kMiB = 1024 * 1024;
constexpr int kLargest = 32 * kMiB;  // mallopt(3): the most that M_MMAP_THRESHOLD may be

/// From how many bytes on memory is mapped for itself, and how many may be free at the end of the
/// heap before they are given back.
void set_heap(int mmap_threshold, int trim_threshold)
{
    // NOLINTBEGIN(concurrency-mt-unsafe): there is no other thread, see the header
    mallopt(M_MMAP_THRESHOLD, mmap_threshold);
    mallopt(M_TRIM_THRESHOLD, trim_threshold);
    // NOLINTEND(concurrency-mt-unsafe)
}

}  // namespace

ReusedHeap::ReusedHeap()
{
    set_heap(kLargest, 2 * kLargest);
}

ReusedHeap::~ReusedHeap()
{
    set_heap(6 * kMiB, 12 * kMiB);  // what glibc would have come to by itself
}

}  // namespace drainwatch
