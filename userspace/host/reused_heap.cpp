#include "host/reused_heap.hpp"

#include <malloc.h>

namespace drainwatch {
namespace {

constexpr int kLargest = 32 * 1024 * 1024;  // mallopt(3): the most that M_MMAP_THRESHOLD may be
constexpr int kUsual = 128 * 1024;          // its default, and that of M_TRIM_THRESHOLD

}  // namespace

ReusedHeap::ReusedHeap()
{
    mallopt(M_MMAP_THRESHOLD, kLargest);
    mallopt(M_TRIM_THRESHOLD, 2 * kLargest);
}

ReusedHeap::~ReusedHeap()
{
    mallopt(M_MMAP_THRESHOLD, kUsual);
    mallopt(M_TRIM_THRESHOLD, kUsual);
    malloc_trim(0);
}

}  // namespace drainwatch
