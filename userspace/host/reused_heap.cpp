#include "host/reused_heap.hpp"

#include <malloc.h>

namespace drainwatch {
namespace {

constexpr int kMiB = 1024 * 1024;
constexpr int kLargest = 32 * kMiB;  // mallopt(3): the most that M_MMAP_THRESHOLD may be

}  // namespace

ReusedHeap::ReusedHeap()
{
    mallopt(M_MMAP_THRESHOLD, kLargest);
    mallopt(M_TRIM_THRESHOLD, 2 * kLargest);
}

ReusedHeap::~ReusedHeap()
{
    mallopt(M_TRIM_THRESHOLD, kMiB);
    malloc_trim(0);
}

}  // namespace drainwatch
